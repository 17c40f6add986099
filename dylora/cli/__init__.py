"""The command line: `python -m dylora fit | validate | test | predict`."""

from dylora.cli.main import main

__all__ = ["main"]
