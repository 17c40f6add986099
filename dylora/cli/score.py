"""`python -m dylora score`: the official scores of texts, however they were made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jsonargparse

from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser
from dylora.data.sources.e2e import Form
from dylora.data.sources.score_files import read_hypotheses, read_references
from dylora.errors import InputError
from dylora.metrics.nlg import meteor
from dylora.modules.text_scores import score_texts


def score(set: Literal["e2e", "webnlg", "dart"], hypotheses: Path, references: Path, form: Form = "official") -> None:
    """Score generated texts as a data set's official scripts do.

    Args:
        set: The set whose scores are asked for.
        hypotheses: Generated texts in the order of the references: a text a line, or JSON Lines of strings or of
            objects with `output` (such as predictions/rank_3.jsonl, which `test` writes).
        references: The set's official test file; or text with a reference a line and an empty line between items; or
            JSON Lines of lists of strings or of objects with `references` (that same file of `test`).
        form: Form of E2E in which its official file is read, `official` or `respaced`.

    Raises:
        InputError: If a file is unusable, or the two have not the same number of items.
    """
    items, texts = read_references(references, set, form), read_hypotheses(hypotheses)
    if len(items) != len(texts):
        given = f"{len(texts)} in {hypotheses} for {len(items)} items in {references}"
        raise InputError("--hypotheses", "one text an item", given, "make the two files the same set, item by item")
    print(f"{set}: {len(texts)} items, {sum(len(item.references) for item in items)} references")
    scores = score_texts(set, texts, items)
    for name, value in scores.items():
        print(f"{name:16}{'not available' if value is None else f'{value:.6f}'}")
    if None in scores.values():
        print(meteor.HOW_TO_INSTALL)


def score_files(arguments: Sequence[str]) -> None:
    """Run the command.

    Args:
        arguments: What follows `score` on the command line.
    """
    given = list(arguments)
    jsonargparse.auto_cli(score, args=given, as_positional=False, parser_class=PlainParser, prog=typed("score"))
