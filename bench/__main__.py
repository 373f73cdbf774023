"""``python -m bench``: what `--help` says."""

import typer

from .run import main

typer.run(main)
