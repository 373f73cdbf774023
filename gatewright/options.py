"""Every option of a run in one record: from a TOML file, from flags, or from Python."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from golden.quantise import Method, QuantOptions, Rounding
from synth import TARGETS

from .errors import GatewrightError, quote

__all__ = ["Options", "read_options"]


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
    lanes: int | None = Field(None, ge=1, le=1024, description="rows worked on at once")
    cols: int = Field(1, ge=1, le=64, description="vector elements a cycle")
    argmax: bool = Field(False, description="output the index of the largest result")
    load_weights: bool | None = Field(None, description="weights over the input stream, not in ROM")
    targets: tuple[str, ...] | None = Field(None, strict=False, description="devices to route for")
    sequences: int = Field(50, ge=1, description="sequences to simulate")
    seed: int = Field(1, ge=0, lt=1 << 31, description="of pauses and placement")

    @field_validator("targets")
    @classmethod
    def _known(cls, names):
        for name in names or ():
            if name not in TARGETS:
                raise ValueError(f"{name!r} is not one of {', '.join(TARGETS)}")
        return names

    @property
    def quantisation(self) -> QuantOptions:
        """The part that the quantiser takes; multipliers as narrow as the narrowest device's."""
        width = self.operand_width or min(
            (TARGETS[name].operand_width for name in self.targets or ()), default=18)
        return QuantOptions(operand_width=width, **{name: getattr(self, name) for name in (
            "weight_width", "act_width", "cell_width", "method", "rounding", "per_row",
            "headroom")})


def read_options(config: Path | None = None, **flags) -> Options:
    """Options of a TOML file, with the flags that were given put over them.

    Raises
    ------
    GatewrightError
        If the file cannot be read, or an option is unknown or out of range.
    """
    values = {}
    if config is not None:
        try:
            values = tomllib.loads(Path(config).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise GatewrightError(quote(config, 200), "is missing",
                                  "give an existing TOML file") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise GatewrightError(quote(config, 200), f"is not a TOML file that can be read "
                                  f"({error})", "correct it") from None
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Options(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"][:1]))
        where = f"{quote(config, 200)}, " if config is not None and name not in flags else ""
        if first["type"] == "extra_forbidden":
            raise GatewrightError(f"{where}option {quote(name)}", "is unknown",
                                  f"the options are {', '.join(Options.model_fields)}") from None
        raise GatewrightError(f"{where}option {quote(name)}",
                              f"{first['msg']}, not {first['input']!r}",
                              "see 'gatewright run --help'") from None
