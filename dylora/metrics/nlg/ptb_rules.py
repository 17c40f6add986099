"""Lexical rules of the Penn Treebank tokens that the E2E and COCO scorers count.

At every place of a text the rule with the longest match wins, what must follow the token included; of equals, the
earlier one. Quotation marks are not told apart as opening or closing: the scorers drop both.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from dylora.metrics.nlg import ptb_abbreviations as abbreviations
from dylora.metrics.nlg.ptb_characters import CURLY_QUOTES, GAPS, LETTERS, LINE_ENDS, MARKS, SYMBOLS

Writer = Callable[[str], str]


class Rule(NamedTuple):
    """One kind of token.

    Attributes:
        pattern: The token is group 1; the whole match includes what must follow.
        write: From the characters read to the token; an empty one is left out.
    """

    pattern: re.Pattern[str]
    write: Writer


def _as_it_stands(token: str) -> str:
    return token


def _constant(text: str) -> Writer:
    return lambda token: text


def _mapped(table: dict[str, str]) -> Writer:
    keys = re.compile("|".join(map(re.escape, table)), re.IGNORECASE)
    return lambda token: keys.sub(lambda match: table[match[0].lower()], token)


def _without_soft_hyphens(token: str) -> str:
    return token.replace("\u00ad", "") or "-"


def _without_spaces(token: str) -> str:
    return token.replace(" ", "\u00a0")


def _with_named_brackets(token: str) -> str:
    return _without_spaces(token).replace("(", "-LRB-").replace(")", "-RRB-")


def _hyphens(token: str) -> str:
    return "--" if len(token) in (3, 4) else token


_ampersand = _mapped({"&amp;": "&"})
_quotes = _mapped(
    {
        **dict.fromkeys(["&apos;", "\u0092", "\u2019", "\u203a"], "'"),
        **dict.fromkeys(["\u0091", "\u2018", "\u201b", "\u2039"], "`"),
        **dict.fromkeys(["\u0093", "\u201c", "\u00ab"], "``"),
        **dict.fromkeys(["\u0094", "\u201d", "\u00bb"], "''"),
    }
)
_currency = _mapped({"\u00a2": "cents", "\u00a3": "#", **dict.fromkeys("\u0080\u00a4\u20a0\u20ac", "$")})
_fraction = _mapped({"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"})

_GAP, _BREAK = f"[{GAPS}]", f"[{GAPS}{LINE_ENDS}]"
_CLAUSE_END = r"[,;:\u3001]"
_LETTER = rf"(?:[{LETTERS}{MARKS}]|&[aeiouAEIOU](?i:acute|grave|uml);)"
_PLAIN = rf"[{LETTERS}\d]"
_APOS = r"(?:['\u0092\u2019]|(?i:&apos;))"
_APOS_OR_SLIP = r"(?:['`\u0091\u0092\u2018\u2019\u201b]|(?i:&apos;))"

_PART = rf"{_LETTER}(?:{_LETTER}|\d)*"
_WORD = rf"{_PART}(?:[.!?]{_PART})*"
_SHORT_VERB = rf"{_APOS}(?i:[msd]|re|ve|ll)"
_NOT = rf"(?i:n){_APOS_OR_SLIP}(?i:t)"
_BEFORE_NOT = r"[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*"
_APOSTROPHE_WORD = "|".join(
    [
        rf"{_APOS}(?i:n){_APOS}?",
        rf"(?i:Dunkin|somethin|ol){_APOS}",
        rf"{_APOS}(?i:em|till?|cause|[2-9]0s)",
        rf"[A-HJ-XZn]{_APOS_OR_SLIP}[{LETTERS}]{{2,}}",
        rf"[{LETTERS}]+[aeiouyAEIOUY]{_APOS_OR_SLIP}[aeiouA-Z][{LETTERS}]*",
        r"(?i:cont'd\.|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l)",
        rf"(?i:O){_APOS_OR_SLIP}(?i:o)|(?i:Cap){_APOS}(?i:n)|(?i:c){_APOS}(?i:est)",
        rf"[lLdDjJ]{_APOS}",
    ]
)
_ELIDED = rf"(?:[dDoOlL]{_APOS_OR_SLIP}{_PLAIN})?{_PLAIN}+"
_JOINED = rf"{_ELIDED}(?:[-_\u058a\u2010\u2011]{_ELIDED})*"
_HYPHENATED = rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:{abbreviations.ACRONYM}\.|[A-Za-z0-9\u00ad]+))+"
_CAPITALS = r"[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+"
_SLASH_PART = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_TREEBANK = r"(?i:-[rl][rcs]b-|C\.D\.s|pro-|anti-|S(?:&|&amp;)(?:P-500|Ls))"

_NUMBER = r"[-+]?(?:\d*(?:[.:,\u00ad\u066b\u066c]\d+)+|\d+)"
_RAISED = r"[\u207a\u207b\u208a\u208b]?(?:[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)"
_DATE = r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"
_FRACTION = r"(?:\d{1,4}[- \u00a0])?\d{1,4}(?:\\?/|\u2044)\d{1,4}"
_DIAL_CODE = r"(?:\([0-9]{2,3}\)[ \u00a0]?|\+{0,2}(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
_PHONE = (
    rf"{_DIAL_CODE}[0-9]{{3,4}}[- \u00a0]?[0-9]{{3,5}}"
    r"|(?:\+{0,2}[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
)

_OUTSIDE = r' \t\n\f\r"<>|()'  # no address goes on past these
_ADDRESS_END = rf"[^{_OUTSIDE}.!?{{}},\-]"
_URL = rf"(?i:https?)://[^{_OUTSIDE}{{}}]+{_ADDRESS_END}"
_WWW = rf"(?i:www)\.(?:[^{_OUTSIDE}.!?{{}},]+\.)+[a-zA-Z]{{2,4}}"
# From "," to "_" is meant: a bare host name has neither digits nor capitals.
_HOST = r"""(?:[^ \t\n\f\r"!$'(),-_`{|}]+\.)+(?i:com|net|org|edu)"""
_PATH = rf"/[^{_OUTSIDE}]+{_ADDRESS_END}"
_MAIL_NAME = rf"[a-zA-Z0-9][^{_OUTSIDE}{{}}\u00a0]*"
_MAIL_PART = rf"[^{_OUTSIDE}{{}}.\u00a0]+"
_MAIL = rf"(?:(?i:&lt;)|<)?{_MAIL_NAME}@(?:{_MAIL_PART}\.)*{_MAIL_PART}(?:(?i:&gt;)|>)?"
_FILE_NAME = (
    rf"(?:{_LETTER}|\d)+(?:\.(?:{_LETTER}|\d)+)*\.(?i:bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java"
    "|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip)"
)
_NAME = r"[A-Za-z][A-Za-z0-9_:.\-]*"
_ATTRIBUTE = rf"""(?:{_NAME} *= *(?:'[^'\r\n]*'|"[^"\r\n]*")|{_NAME})"""
_TAG = rf"<(?:[!?][A-Za-z\-][^>\r\n]*|{_NAME}(?: +{_ATTRIBUTE})* */?|/{_NAME}) *>"
_SMILEY = r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"
_EYE = r"[-^x=~<>']"
_FACE = rf"{_EYE}_{_EYE}|\({_EYE}[_.]?{_EYE}\)|\([\^x=~<>']-[\^x=~<>'`]\)"

_TABLE: list[tuple[str, str, Writer]] = [
    # Token, what must follow, how it is written.
    (r"(?i:c)\+\+|(?i:[cf])\#", "", _as_it_stands),
    ("(?i:can)", "(?i:not)", _as_it_stands),
    ("(?i:gon|wan)", "(?i:na)", _as_it_stands),
    ("(?i:got)", "(?i:ta)", _as_it_stands),
    ("(?i:lem|gim)", "(?i:me)", _as_it_stands),
    ("'(?i:t)", "(?i:was|is)", _as_it_stands),
    (_TAG, "", _without_spaces),
    (r"&(?i:MD|mdash|ndash);|[\u0096\u0097\u2013-\u2015]", "", _constant("--")),
    ("(?i:&amp;)", "", _constant("&")),
    ("&(?i:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);", "", _as_it_stands),
    (_WORD, _SHORT_VERB, _without_soft_hyphens),
    (_BEFORE_NOT, _NOT, _without_soft_hyphens),
    (_WORD, "", _without_soft_hyphens),
    (_APOSTROPHE_WORD, "", _as_it_stands),
    (f"(?i:y){_APOS}", f"[{LETTERS}]", _as_it_stands),
    (_URL, "", _as_it_stands),
    (f"{_WWW}|{_HOST}", "", _as_it_stands),
    (f"(?:{_WWW}|{_HOST}){_PATH}", "", _as_it_stands),
    (_MAIL, "", _as_it_stands),
    (rf"@[a-zA-Z_][a-zA-Z_0-9]*|\#{_LETTER}+", "", _as_it_stands),
    (_SHORT_VERB, "[^A-Za-z]", _quotes),
    (_NOT, "[^A-Za-z]", _quotes),
    (_DATE, "", _as_it_stands),
    (_NUMBER, "", _without_soft_hyphens),
    (_RAISED, "", _as_it_stands),
    (_FRACTION, "", _without_spaces),
    (r"[\u00bc-\u00be\u2153-\u215e]", "", _fraction),
    (_TREEBANK, "", _ampersand),
    (rf"{_SLASH_PART}(?:\\?/{_SLASH_PART}){{1,2}}", "", _as_it_stands),
    (r"[A-Z]*\$|\#", "", _as_it_stands),
    (r"[\u00a2-\u00a5\u0080\u20a0\u20ac\u060b\u0e3f\u20a4\uffe0\uffe1\uffe5\uffe6]", "", _currency),
    ("[A-Za-z]", rf"\.{_BREAK}+(?:{abbreviations.SENTENCE_STARTS}|{_TAG}){_BREAK}", _as_it_stands),
    (rf"{abbreviations.BEFORE_NUMBERS}\.", rf"{_BREAK}?\d", _as_it_stands),
    (r"(?i:pt[ey]|co)\.", f"{_GAP}(?i:ltd|lim)", _as_it_stands),
    (rf"(?:{abbreviations.ANYWHERE})\.", "(?s:..)|", _as_it_stands),
    (rf"(?:{abbreviations.BEFORE_NAMES})\.", "", _as_it_stands),
    (f"{abbreviations.ACRONYM}|[A-Za-z]", _BREAK, _as_it_stands),
    (f"{_APOS}[0-9]{{2}}", _BREAK, _as_it_stands),
    (_FILE_NAME, f"[{GAPS}{LINE_ENDS}.?!,]", _as_it_stands),
    (rf"{_WORD}\.", _CLAUSE_END, _without_soft_hyphens),
    (_PHONE, "", _with_named_brackets),
    ('"|(?i:&quot;)', "", _constant("''")),
    ("<|(?i:&lt;)", "", _constant("<")),
    (">|(?i:&gt;)", "", _constant(">")),
    (_SMILEY, "[^A-Za-z0-9]", _with_named_brackets),
    (_FACE, "", _with_named_brackets),
    (r"[][(){}]", "", _mapped({"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"})),
    ("-+", "", _hyphens),
    (r"\.{3,5}|(?:\.[ \u00a0]){2,4}\.|[\x85\u2026]", "", _constant("...")),
    (r"@+|_+|\#+|\*+|(?:\\\*){1,3}", "", _as_it_stands),
    (r"[?!]+|[,;:\u3001.\u00a1\u00bf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002=/]", "", _as_it_stands),
    (rf"{_HYPHENATED}\.", _CLAUSE_END, _without_soft_hyphens),
    (_HYPHENATED, "", _without_soft_hyphens),
    (rf"{_JOINED}\.", _CLAUSE_END, _as_it_stands),
    (_JOINED, "", _as_it_stands),
    (rf"{_CAPITALS}\.", _CLAUSE_END, _ampersand),
    (_CAPITALS, "", _ampersand),
    ("'", r"[A-Za-z][^ \t\n\r\u00a0]", _as_it_stands),
    (_SHORT_VERB, "", _quotes),
    (rf"''|[`{CURLY_QUOTES}]{{1,2}}|{_APOS}", "", _quotes),
    ("<<|>>", "", _as_it_stands),
    (f"[{SYMBOLS}]", "", _as_it_stands),
    ("(?i:&nbsp;)", "", _constant("")),
]
RULES = tuple(Rule(re.compile(f"({token})(?:{follows})"), write) for token, follows, write in _TABLE)
