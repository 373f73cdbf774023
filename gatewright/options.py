"""Every option of a run in one record: from a TOML file, from flags, or from Python."""

import re
import stat
import tomllib
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from golden.quantise import Method, QuantOptions, Rounding
from hw.pipeline import PIPELINES
from synth import TARGETS

from .errors import GatewrightError, quote
from .setting import Limits, Setting

__all__ = ["Options", "parse_duration", "read_options"]

MAX_BYTES = 1 << 20             # of a TOML file
_UNITS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6}  # micro or mu


def parse_duration(text: str) -> float:
    """Microseconds of "10us", "0.5ms", "800ns" or "2s"; ValueError if it is no such time."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s)\s*", text)
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < value < 1e12:
        raise ValueError(f"Time must be above zero and have its unit, as 10us, not {text!r}")
    return value


class Options(BaseModel):
    """Options of a run; what is None is chosen from the network and the device.

    The same names stand in the TOML file and, with dashes, on the command line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    weight_width: int = Field(8, ge=2, le=16, description="bits of a weight")
    act_width: int = Field(16, ge=4, le=18, description="bits of inputs, states and results")
    cell_width: int = Field(16, ge=8, le=24, description="bits of the LSTM's cell state")
    method: Method = Field(Method.MINMAX, strict=False, description="how ranges are taken")
    rounding: Rounding = Field(Rounding.CALIBRATED, strict=False, description="of weights")
    operand_width: int | None = Field(None, ge=16, le=27,
                                      description="bits of a vector element at the multipliers")
    per_row: bool = Field(True, description="a weight fraction for each row")
    headroom: int | None = Field(None, ge=0, le=4, description="spare integer bits")
    lanes: int | None = Field(None, ge=1, le=4096, description="rows worked on at once")
    posts: int | None = Field(None, ge=1, le=1024,
                              description="element-wise pipelines, a divisor of the lanes")
    cols: int | None = Field(None, ge=1, le=1024, description="vector elements a cycle: the posts, "
                             "1 if not given, times or divided by a power of two")
    pipeline: str | None = Field(None, description="registers for the clock, or few for few cycles")
    pack: bool | None = Field(None, description="two lanes to a multiplier, weights up to 8 bits")
    wide_streams: bool = Field(False, description="words of cols elements in, of posts results out")
    deadline: str | None = Field(None, description="that a step may take")
    max_steps: int | None = Field(None, ge=1, le=1 << 16, description="longest sequence stored, "
                                  "where a layer is reverse")
    max_cycles: int | None = Field(None, ge=1, description="cycles that a step may take")
    max_dsp: int | None = Field(None, ge=1, description="DSP blocks to use")
    max_bram: int | None = Field(None, ge=1, description="block RAMs to use")
    clock: float | None = Field(None, gt=0, le=2000, description="MHz to count time at")
    argmax: bool = Field(False, description="output the index of the largest result")
    load_weights: bool | None = Field(None, description="weights over the input stream, not in ROM")
    protect: bool = Field(False, description="tell of upsets, and stop at one until a reset")
    targets: tuple[str, ...] | None = Field(None, strict=False, min_length=1,
                                            description="devices to route for")
    portable: bool = Field(False, description="route the portable form on every device")
    sequences: int = Field(50, ge=1, description="sequences to simulate")
    seed: int = Field(1, ge=0, le=(1 << 31) - 1, description="of pauses and placement")

    @field_validator("lanes", mode="before")
    @classmethod
    def _auto(cls, lanes):
        return None if lanes == "auto" else lanes

    @field_validator("posts")
    @classmethod
    def _divides(cls, posts, info):
        if posts and (info.data.get("lanes") or posts) % posts:
            raise ValueError
        return posts

    @field_validator("cols")
    @classmethod
    def _aligned(cls, cols, info):
        posts = info.data.get("posts") or (1 if info.data.get("lanes") else cols)
        if cols and (max(cols, posts) % min(cols, posts)
                     or (max(cols, posts) // min(cols, posts)).bit_count() > 1):
            raise ValueError
        return cols

    @field_validator("pipeline")
    @classmethod
    def _named(cls, name):
        if name not in (None, *PIPELINES):
            raise ValueError
        return name

    @field_validator("deadline")
    @classmethod
    def _duration(cls, text):
        if text is not None:
            parse_duration(text)
        return text

    @field_validator("targets")
    @classmethod
    def _known(cls, names):
        if not set(names or ()) <= set(TARGETS):
            raise ValueError
        return tuple(dict.fromkeys(names)) if names else names

    @property
    def quantisation(self) -> QuantOptions:
        """The part that the quantiser takes; multipliers as narrow as the narrowest device's."""
        width = self.operand_width or min(
            (TARGETS[name].operand_width for name in self.targets or ()), default=18)
        return QuantOptions(operand_width=width, **{name: getattr(self, name) for name in (
            "weight_width", "act_width", "cell_width", "method", "rounding", "per_row",
            "headroom")})

    @property
    def limits(self) -> Limits:
        """What the choice of an array must keep to."""
        return Limits(deadline_us=None if self.deadline is None else parse_duration(self.deadline),
                      max_cycles=self.max_cycles, max_dsp=self.max_dsp, max_bram=self.max_bram)

    @property
    def setting(self) -> Setting:
        """What is common to the arrays it chooses from."""
        return Setting(argmax=self.argmax, wide=self.wide_streams, portable=self.portable,
                       load_weights=self.load_weights, protect=self.protect,
                       clock_mhz=self.clock)


def _wanted(name: str) -> str:
    """What an option may be, in words: "an integer from 2 to 16 (bits of a weight)"."""
    field = Options.model_fields[name]
    kind = field.annotation
    if name == "targets":
        return f"one or more of {', '.join(TARGETS)}"
    if name == "pipeline":
        return f"one of {', '.join(PIPELINES)} ({field.description})"
    if name == "deadline":
        return f"a time above zero with its unit, as 10us or 800ns ({field.description})"
    if name == "clock":
        return f"above 0 and at most 2000 ({field.description})"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of {', '.join(kind)} ({field.description})"
    if kind in (bool, bool | None):
        return f"true or false ({field.description})"
    low = next(rule.ge for rule in field.metadata if hasattr(rule, "ge"))
    high = next((rule.le for rule in field.metadata if hasattr(rule, "le")), None)
    bounds = f"of {low} or more" if high is None else f"from {low} to {high}"
    auto = "auto or " if name == "lanes" else ""
    return f"{auto}an integer {bounds} ({field.description})"


def _read_toml(path: Path) -> dict:
    what, path = quote(path, 200), Path(path)
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):     # a pipe or a device would not end
            raise GatewrightError(what, "is not a file", "give a TOML file")
        if info.st_size > MAX_BYTES:
            raise GatewrightError(what, f"is larger than {MAX_BYTES >> 20} MiB",
                                  "give a TOML file with options")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GatewrightError(what, "no such file", "give an existing TOML file") from None
    except OSError as error:
        raise GatewrightError(what, f"cannot be read ({error.strerror})",
                              "give a TOML file") from None
    except (ValueError, RecursionError) as error:  # syntax, encoding, endless digits or brackets
        reason = str(error).partition("\n")[0][:100]
        raise GatewrightError(what, f"is not TOML ({reason})",
                              "correct it; a line is NAME = VALUE") from None


def read_options(config: Path | None = None, **flags) -> Options:
    """Options of a TOML file, with the flags that were given put over them.

    Raises
    ------
    GatewrightError
        If the file cannot be read, or an option is unknown or out of range.
    """
    flags = {name: value for name, value in flags.items() if value is not None}
    values = ({} if config is None else _read_toml(config)) | flags
    try:
        return Options(**values)
    except ValidationError as error:
        name = error.errors()[0]["loc"][0]
    flag = "--" + {"targets": "target"}.get(name, name).replace("_", "-")
    where = flag if name in flags or config is None else f"{quote(config, 200)}, key {quote(name)}"
    if name not in Options.model_fields:
        raise GatewrightError(where, "is unknown", f"choose {', '.join(Options.model_fields)}")
    given = ", ".join(values[name]) if name == "targets" and name in flags else repr(values[name])
    raise GatewrightError(where, f"must be {_wanted(name)}, not {given[:60]}",
                          "give a value that is allowed")
