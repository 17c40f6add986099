"""Penn Treebank tokens as the E2E and COCO scorers count them: lower case, without punctuation.

Equal to `edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase` of CoreNLP 3.4.1 followed by the removal of
`PUNCTUATION`, but for three things. A text stands alone here; there, a file of texts is read in one go, so that a
single letter and a full stop at the end of a line are one token or two depending on the next line. A line break
inside a text is a space. Letters that joined Unicode after version 6 are letters.
"""

import re
from functools import lru_cache

from dylora.metrics.nlg.ptb_rules import RULES

PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
"""Tokens that the scorers remove. Brackets are not among them: they are `-lrb-` and `-rrb-` by then."""

_LINE_BREAKS = re.compile(r"[\r\n\u2028\u2029\x0b\x0c\x85]+")
# Most words need no rule: letters up to a space, unless they are two tokens.
_EASY_WORD = re.compile(r" ?(?!(?i:cannot|gonna|wanna|gotta|lemme|gimme)\b)([A-Za-z]+)(?=,? )")


def _read_token(text: str, start: int) -> tuple[str, int]:
    """The token at a place and the place after it; an empty token where a character is dropped."""
    longest, end, token = 0, start + 1, ""
    for pattern, write in RULES:
        match = pattern.match(text, start)
        if match and match.end() > longest:
            longest, end, writer = match.end(), match.end(1), write
    if longest:
        token = writer(text[start:end])
    return token, end


@lru_cache(maxsize=1 << 17)
def ptb_tokens(text: str) -> tuple[str, ...]:
    """Tokens of one text.

    Args:
        text: A hypothesis or a reference, as written.

    Returns:
        Lower-case tokens without punctuation; a number with a fraction or a telephone number may hold no-break spaces.

    >>> ptb_tokens("The 'Cricketers' (a pub) can't cost £20 a head, can it?")
    ('the', 'cricketers', '-lrb-', 'a', 'pub', '-rrb-', 'ca', "n't", 'cost', '#', '20', 'a', 'head', 'can', 'it')
    """
    text = _LINE_BREAKS.sub(" ", text) + "\n"
    tokens, place = [], 0
    while place < len(text):
        easy = _EASY_WORD.match(text, place)
        token, place = (easy[1], easy.end()) if easy else _read_token(text, place)
        tokens.append(token.lower())
    return tuple(token for token in tokens if token and token not in PUNCTUATION)


def ptb_text(text: str) -> str:
    """The tokens of one text, joined by single spaces."""
    return " ".join(ptb_tokens(text))
