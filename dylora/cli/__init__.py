"""The command line: `python -m dylora fit | validate | test | predict | sweep | report`."""

from dylora.cli.main import main

__all__ = ["main"]
