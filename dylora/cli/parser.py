"""The parser of the commands that train or evaluate."""

from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from dylora.cli.plain_parser import fail, with_nearest


class Parser(LightningArgumentParser):
    """Lightning's parser, with errors of one line and without abbreviations, which would hide a mistyped name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (Lightning's)
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line on stderr and exit with status 2."""
        fail(with_nearest(message, self))
