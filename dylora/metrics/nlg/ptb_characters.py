"""What the official tokenizer makes of single characters: symbols it renames, sets apart, or takes for a space."""

import re
import unicodedata

LEFT_QUOTE, RIGHT_QUOTE = "\u2018", "\u2019"
"""Single quotation marks; the right one is an apostrophe too."""

HYPHENS = "\u2010\u2011"
"""Hyphens that join words as `-` does, soft hyphens apart."""

RAISED, LOWERED = "\u00b9\u00b2\u00b3\u2070\u2074-\u2079", "\u2080-\u2089"
"""Superscript and subscript digits, as a part of a regular expression's set."""

MARKS = (
    "\u00ad\u02c2-\u02c5\u02d2-\u02df\u02e5-\u02eb\u02ed\u02ef-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2"
    "\u05c4\u05c5\u05c7\u0615-\u061a\u064b-\u065e\u0670\u06d6-\u06e4\u06e7-\u06ed\u0711\u0730-\u074a\u07a6-\u07b0"
    "\u07eb-\u07f3\u0900-\u0903\u093c\u093e-\u094e\u0951-\u0955\u0962\u0963\u0981-\u0983\u09bc\u09be-\u09c4\u09c7"
    "\u09c8\u09cb-\u09cd\u09d7\u09e2\u09e3\u0a01-\u0a03\u0a3c\u0a3e-\u0a4f\u0a81-\u0a83\u0abc\u0abe-\u0acf\u0b82"
    "\u0bbe-\u0bc2\u0bc6-\u0bc8\u0bca-\u0bcd\u0c01-\u0c03\u0c3e-\u0c56\u0d3e-\u0d44\u0d46-\u0d48\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u1885\u1886"
)
"""Characters inside words that are neither letters nor digits (accents, vowel signs), as a part of a set."""

# Spaces set a token apart; two of them keep a fraction from the number before it.
_RENAMED = {
    **{"£": " # ", "€": " $ ", "₠": " $ ", "¤": " $ ", "¢": " cents ", "…": " ... "},
    **{"¼": "  1/4 ", "½": "  1/2 ", "¾": "  3/4 ", "⅓": "  1/3 ", "⅔": "  2/3 "},
    **dict.fromkeys("\u2013\u2014\u2015", " -- "),
    **dict.fromkeys("“”«»\u201b\u2039\u203a", ' " '),
    # the same in Windows' encoding, misread as Latin-1
    **{
        "\x80": " $ ",
        "\x91": LEFT_QUOTE,
        "\x92": RIGHT_QUOTE,
        "\x93": ' " ',
        "\x94": ' " ',
        "\x96": " -- ",
        "\x97": " -- ",
    },
}

# Fraction slash, signs of exponents and indices.
_KEPT = re.compile(f"[ -~{LEFT_QUOTE}{RIGHT_QUOTE}{HYPHENS}\u2044{RAISED}{LOWERED}\u207a\u207b\u208a\u208b{MARKS}]")

# Punctuation and symbols that are tokens; all others of the Basic Multilingual Plane separate words and vanish.
_SYMBOLS = re.compile(
    "[\u00a1\u00a5-\u00a9\u00ac\u00ae-\u00b1\u00b4\u00b6-\u00b8\u00bf\u00d7\u00f7\u037e\u0387\u0589\u05be\u05c0\u05c3"
    "\u05f3\u05f4\u060a-\u060c\u061b\u061e\u061f\u066a\u066d\u06d4\u0964\u0965\u0e3f\u0e4f\u2016\u2017\u201a\u201e-\u2023"
    "\u2030-\u2038\u203b\u203e-\u2042\u207c-\u207e\u208c-\u208e\u20a4\u2100-\u214f\u2155-\u215e\u2190-\u2bff"
    "\u3001\u3002\u3012\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0\uffe1\uffe5\uffe6]"
)
_LETTERS = frozenset(("Ll", "Lu", "Lt", "Lm", "Lo", "Nd"))

_ENTITIES = {
    "amp": "&",
    "lt": " < ",
    "gt": " > ",
    "quot": ' " ',
    "apos": "'",
    "nbsp": " ",
    **dict.fromkeys(("mdash", "ndash"), " -- "),
}
_ENTITIES |= {name.upper(): character for name, character in _ENTITIES.items()}
_ENTITY = re.compile(f"&({'|'.join(_ENTITIES)});")


def _plain_character(character: str) -> str:
    if character in _RENAMED:
        return _RENAMED[character]
    if character > "\uffff":
        return " "
    if _KEPT.match(character):
        return character
    if _SYMBOLS.match(character):
        return f" {character} "
    return character if unicodedata.category(character) in _LETTERS else " "


class _Table(dict[int, str]):
    """A table for `str.translate`, filled in as characters are met."""

    def __missing__(self, code: int) -> str:
        """What one character becomes."""
        self[code] = _plain_character(chr(code))
        return self[code]


_TABLE = _Table()


def plain_characters(text: str) -> str:
    """The text on one line, of letters, digits, symbols that are tokens, and spaces.

    >>> plain_characters("£5½…")
    ' # 5  1/2  ... '
    """
    text = _ENTITY.sub(lambda match: _ENTITIES[match[1]], text) if "&" in text else text
    return text.translate(_TABLE)
