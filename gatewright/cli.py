"""The command line. Exit codes: 0 done, 1 hardware differs from golden, 2 something to change."""

import os
import sys
import tempfile
import traceback
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import sim
import synth

from . import cli_run, cli_steps, cli_words as words, doctor as checks
from .cli_words import console_for, print_json
from .errors import GatewrightError
from .flow import Mismatch
from .interrupt import stop_on_signals

__all__ = ["app", "main"]

app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False,
                  help="Turn a trained recurrent network (ONNX, Keras, PyTorch) into verified "
                       "Verilog: a fixed-point golden model, a core proven equal to it bit for "
                       "bit, and its clock and area on real devices. Start with [bold]gatewright "
                       "demo[/].")
for part in (cli_steps, cli_run):
    app.registered_commands += part.app.registered_commands


@app.command(epilog="Example: gatewright doctor --warm")
def doctor(warm: Annotated[bool, typer.Option(
        "--warm", help="Start the WebAssembly tools once, so that later starts are quick.")]
        = False, as_json: words.AsJson = False):
    """Check every tool, say what is missing and how to get it."""
    console = console_for(as_json)
    with console.status("looking at the tools") as status:
        found = checks.check(warm=warm, progress=status.update)
    console.print(checks.render(found))
    print_json(as_json, [vars(check) for check in found])
    raise typer.Exit(checks.exit_status(found))


def _usage(error: typer.BadParameter) -> str:
    """What typer has to say about the words of a command, in one line."""
    text = " ".join(error.format_message().split()).rstrip(".")
    return f"{text}; see '{error.ctx.command_path if error.ctx else 'gatewright'} --help'"


def main() -> None:
    """Entry point: every expected failure is one line on stderr and an exit code."""
    stop_on_signals()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names in a terminal of another alphabet
    kind, text, status = "error", "", 2
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="gatewright", standalone_mode=False) or 0
        sys.stdout.flush()
    except Mismatch as error:
        kind, text, status = "mismatch", str(error), 1
    except typer.BadParameter.__base__ as error:  # every usage error, of any typer
        text = _usage(error)
    except (GatewrightError, sim.ToolMissing, sim.SimulationError, synth.SynthError) as error:
        text = str(error)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:
        # Nobody reads any more; Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except OSError as error:
        text = f"{error}; check the path and the space on the disk"
    except Exception as error:  # ours to mend, and not the user's to read
        handle, log = tempfile.mkstemp(prefix="gatewright-", suffix=".log", text=True)
        with os.fdopen(handle, "w") as file:
            traceback.print_exc(file=file)
        text = (f"a fault of gatewright itself ({type(error).__name__}: {error}); please report "
                f"it with {log}")
        status = 70
    if status == 130:
        text = "stopped; nothing half-made was left"
    if text:
        line = Text.assemble((f"{kind}: ", "bold red"), " ".join(text.split()))
        Console(stderr=True).print(line, soft_wrap=True)
    sys.exit(status)
