"""Character classes of the Penn Treebank tokenizer: what it keeps in a word, what stands alone, what it drops."""

import unicodedata

_MARKS = (
    "00AD 02C2-02C5 02D2-02DF 02E5-02EB 02ED 02EF-036F 0375 0378-0379 0384-0385 03F6 0483-0487 055A-055F 0591-05BD"
    " 05BF 05C1-05C2 05C4-05C5 05C7 0615-061A 064B-065E 0670 06D6-06E4 06E7-06ED 06FD-06FE 070F 0711 0730-074C"
    " 07A6-07B0 07EB-07F3 0900-0903 093C 093E-094E 0951-0955 0962-0963 0981-0983 09BC 09BE-09C4 09C7-09C8"
    " 09CB-09CD 09D7 09E2-09E3 0A01-0A03 0A3C 0A3E-0A4F 0A81-0A83 0ABC 0ABE-0ACF 0B82 0BBE-0BC2 0BC6-0BC8"
    " 0BCA-0BCD 0C01-0C03 0C3E-0C56 0D3E-0D44 0D46-0D48 0E31 0E34-0E3A 0E47-0E4E 0EB1 0EB4-0EBC 0EC8-0ECD"
)
_SYMBOLS = (
    "0025-0026 002B 005C 005E 007C 007E 00A6-00A9 00AC 00AE-00B4 00B6-00B9 00D7 00F7 0387 05BE 05C0 05C3 05C6"
    " 05F3-05F4 0600-0603 0606-060A 060C 0614 061B 061E 066A 066D 0703-070D 07F6-07F8 0964-0965 0E4F 1FBD"
    " 2016-2017 2020-2023 2030-2038 203B 203E-2042 2044 207A-207E 208A-208E 2100-214F 2190-2BFF 3012 30FB"
    " FF01-FF0F FF1A-FF20 FF3B-FF40 FF5B-FF65"
)


def _ranges(text: str) -> str:
    """Hexadecimal code points and ranges as the inside of a character class."""
    return "".join("-".join(f"\\u{end}" for end in item.split("-")) for item in text.split())


def _letters() -> str:
    """The 16-bit letters of Unicode as the inside of a character class."""
    is_letter = [unicodedata.category(chr(c)).startswith("L") for c in range(0x10000)]
    starts = [c for c in range(1, 0x10000) if is_letter[c] and not is_letter[c - 1]]
    ends = [c - 1 for c in range(1, 0x10000) if is_letter[c - 1] and not is_letter[c]]
    return "".join(f"\\u{a:04x}-\\u{b:04x}" for a, b in zip(starts, ends, strict=True))


LETTERS = _letters()
"""Inside of a class: letters proper."""
MARKS = _ranges(_MARKS)
"""Inside of a class: the soft hyphen and the marks that stay inside a word; other marks are dropped."""
SYMBOLS = _ranges(_SYMBOLS)
"""Inside of a class: symbols that are a token each; other symbols are dropped."""
GAPS = r" \t\u00a0\u2000-\u200a\u3000"
"""Inside of a class: spaces of all widths."""
LINE_ENDS = r"\r\n\u2028\u2029\x0b\x0c\x85"
"""Inside of a class: line ends."""
CURLY_QUOTES = r"\u0091-\u0094\u2018-\u201f\u2039\u203a\u00ab\u00bb"
"""Inside of a class: typographic quotation marks (U+0091 to U+0094 are those of Windows-1252)."""
