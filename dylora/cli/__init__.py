"""The command line: `python -m dylora fit | validate | test | predict | sweep | report | score`."""

from dylora.cli.main import main

__all__ = ["main"]
