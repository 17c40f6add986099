import re

import pytest

from dylora.metrics.nlg.ptb_characters import CURLY_QUOTES, GAPS, LETTERS, LINE_ENDS, MARKS, SYMBOLS


@pytest.mark.parametrize(
    ("inside", "members", "others"),
    [
        (LETTERS, "aZéßµªИ日\u0131", "1_²½ .-\u00ad\u0301😀"),
        (MARKS, "\u00ad\u0301\u0bbf", "a1_\u0dd9"),
        (SYMBOLS, "%&+~°→♀•", "a1$*<>\u2003"),
        (GAPS, " \t\u00a0\u2003", "\na"),
        (LINE_ENDS, "\n\r\u2028", " a"),
        (CURLY_QUOTES, "“”‘’«»", "'\"`"),  # noqa: RUF001
    ],
)
def test_classes_hold_what_they_are_named_for(inside, members, others):
    pattern = re.compile(f"[{inside}]")
    assert [c for c in members if not pattern.fullmatch(c)] == []
    assert [c for c in others if pattern.fullmatch(c)] == []
