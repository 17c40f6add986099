"""The shapes of tokens that the official tokenizer does not split at their punctuation."""

import re
from collections.abc import Iterable

from dylora.metrics.nlg.ptb_abbreviations import (
    ABBREVIATIONS,
    APOSTROPHE_WORDS,
    BEFORE_NUMBERS,
    CAPITALISED_ABBREVIATIONS,
    CLOSING_ABBREVIATIONS,
    LOWER_ABBREVIATIONS,
    SENTENCE_STARTS,
)
from dylora.metrics.nlg.ptb_characters import HYPHENS, LEFT_QUOTE, LOWERED, MARKS, RAISED, RIGHT_QUOTE

# Repetitions are bounded or possessive, so that no text makes a pattern slow.
_ENTITY = "&[aeiouAEIOU](?:acute|grave|uml);"
_LETTER = rf"(?:[^\W\d_{RAISED}{LOWERED}]|[{MARKS}]|{_ENTITY})"
_CHARACTER = rf"(?:[^\W_{RAISED}{LOWERED}]|[{MARKS}]|{_ENTITY})"
_QUOTE = f"['{RIGHT_QUOTE}]"
_ANY_QUOTE = f"['`{RIGHT_QUOTE}{LEFT_QUOTE}]"
_CLITIC = "(?:[sdmSDM]|ll|re|ve|LL|RE|VE)"
_INNER = rf"(?!{_QUOTE}{_CLITIC}(?!{_CHARACTER})){_ANY_QUOTE}"  # an apostrophe inside a word

_NAME = "[A-Za-z][A-Za-z0-9:._-]*+"  # of a tag or of its attributes
_VALUE = r"(?:\"[^\"]*+\"|'[^']*+'|[^\s\"'<>()]++)"


def _any(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(words)})"


def _capitalised(words: Iterable[str]) -> str:
    return _any(f"(?:{word.capitalize()}|{word.upper()})" for word in words)


_PART = rf"(?:[dDlLoO]{_INNER}(?={_CHARACTER}{{2}}))?{_CHARACTER}++"
_WORD = rf"{_PART}(?:[-_{HYPHENS}]{_PART})*+"
_SPLIT_OFF = rf"(?!(?i:{_any((*CLOSING_ABBREVIATIONS, 'ph[.]d'))})\.-?[A-Za-z0-9](?!{_CHARACTER}))"
_DOTTED = rf"{_SPLIT_OFF}{_LETTER}{_CHARACTER}*+(?:[.!?]{_LETTER}{_CHARACTER}*+)++"  # a site, sentences without a space
_HYPHENATED = (  # 5.5-inch, U.S.-based, non-U.S.
    rf"{_SPLIT_OFF}[A-Za-z0-9][A-Za-z0-9.,]{{0,100}}+(?:-(?:(?:[A-Za-z]\.){{2,20}}+|[A-Za-z0-9]++)){{1,20}}+"
)
_SLASHED = r"\\?/".join([r"[A-Za-z0-9]++(?:-[A-Za-z]++){0,2}+"] * 2) + r"(?:\\?/[A-Za-z0-9]++(?:-[A-Za-z]++){0,2}+)?+"
_ADDRESS = r"[^\s\"<>(){}|]{2,2000}(?<![.,!?])"  # the rest of one

_SHAPES = (
    # Words: Hawai'i and Xi'an, N'Sync
    _WORD,
    rf"(?:{_WORD}|{_DOTTED}|{_HYPHENATED})\.(?=[,;:])",
    rf"{_LETTER}{{1,20}}[aeiouyAEIOUY]{_INNER}[aeiouA-Z][A-Za-z]*+",
    rf"[nA-HJ-XZ]{_INNER}{_LETTER}{{2,100}}+",
    _DOTTED,
    # Initials and abbreviations
    rf"[A-Za-z]\.(?!\s+{_capitalised(SENTENCE_STARTS)}(?:\s|$))",
    r"(?:[A-Za-z]\.){2,100}+|[A-Za-z](?:\.[A-Za-z]){1,100}+",
    r"(?i:Ph\.D\.?)",
    rf"(?i:{_any(ABBREVIATIONS + CLOSING_ABBREVIATIONS)})\.",
    rf"{_capitalised(CAPITALISED_ABBREVIATIONS)}\.",
    rf"{_any(f'(?:{word.capitalize()}|{word})' for word in LOWER_ABBREVIATIONS)}\.",
    rf"(?i:{_any(BEFORE_NUMBERS)})\.(?= ?\d)",
    _HYPHENATED,
    _SLASHED,
    # Numbers: 1,000.50 .5 12:30 -5, 1-1/2, 1 1/2, (555) 555-5555, Python 2.x, '90s
    r"[-+]?(?:\d*+(?:[.,:]\d++)++|\d++)",
    r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}",
    r"(?:\d{1,4}[- ])?\d{1,4}[/\u2044]\d{1,4}",
    r"(?:\+?\d{2,4}[- ])?(?:\(\d{2,3}\) ?|\d{2,4}[- ])\d{3,4}[- ]?\d{3,5}|\+\d{2,3}[- ]\d{3,4}[- ]?\d{3,5}",
    rf"[\u207a\u207b]?[{RAISED}]++|[\u208a\u208b]?[{LOWERED}]++",
    r"\d++(?:\.\d++)*+\.[xX](?=[\s.,;:!?]|$)",
    rf"{_QUOTE}\d\d(?=\s|$)|{_QUOTE}[2-9]0[sS]",
    # Contractions
    rf"[nN]{_ANY_QUOTE}[tT]",
    rf"'{_CLITIC}(?!{_LETTER})|{RIGHT_QUOTE}{_CLITIC}",
    rf"(?i:{_QUOTE}t(?=is|was)|{_QUOTE}(?:em|till?|cause|n{_QUOTE}|n(?=\s|$)))",
    rf"(?i:(?:d|l|j|ol|dunkin){_QUOTE}(?!{_CLITIC}(?!{_CHARACTER}))|y{_QUOTE}(?={_LETTER}))",
    rf"(?i:{_any(APOSTROPHE_WORDS)})",
    # Names and money: AT&T, C++, US$
    r"[A-Z]++(?:[&+][A-Z]++)++",
    r"[Cc]\+\+|[CcFf]#",
    r"[A-Z]++\$",
    r"(?i:anti|pro)-",
    # Internet
    rf"(?i:https?://){_ADDRESS}",
    rf"(?i:www\.(?:[a-z0-9-]++\.){{1,20}}[a-z]{{2,4}}(?![a-z0-9]))(?:/{_ADDRESS})?",
    rf"[a-z]++(?:\.[a-z]++){{0,20}}\.(?i:com|net|org|edu)/{_ADDRESS}",
    r"<?[A-Za-z0-9](?:(?![<>(){}|\"])[!-~]){0,64}?@[^\s.\"<>(){}|]++(?:\.[^\s.\"<>(){}|]++)*+>?",
    r"@[A-Za-z_][A-Za-z0-9_]*+",
    rf"#{_LETTER}++",
    rf"</?{_NAME}(?: ++{_NAME}(?: ?= ?{_VALUE})?)*+ *+/?>|<[!?][A-Za-z-][^>]{{0,2000}}+>",
    r"&#\d++;",
    # Faces
    rf"[<>]?[:;=][-o*']?[()DPdpO\\|@{{\[\]](?!{_CHARACTER})",
    r"\(?[-^x=~<>]_[-^x=~<>]\)?",
    # Runs of one sign, brackets by name
    r"[!?]{2,}+|\*++|_{2,}+|@{2,}+|\#{2,}+|-{2,}+|\.{3,5}+|'{2}|`{2}|>>|<<|(?:\\\*)+",
    r"-(?i:[lr][rsc]b)-",
)

SHAPES = tuple(re.compile(shape) for shape in _SHAPES)
"""What a token can be; the longest match at a place is the token, and of equal ones the first."""
