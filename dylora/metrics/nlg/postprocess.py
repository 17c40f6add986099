"""The forms in which microsoft/LoRA's scripts hand texts to the DART and WebNLG scorers."""

import re

_TWO_TOKENS = re.compile(r"\b(can)(not)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(wan)(na)\b")


def lower_and_space(text: str) -> str:
    r"""Lower case, everything but letters, digits and `_` set off by spaces: `gpt2_decode.py --tokenize --lower`.

    >>> lower_and_space("Aarhus Airport's runway is 2702.0 m.")
    "aarhus airport ' s runway is 2702 . 0 m ."
    """
    return " ".join(" ".join(re.split(r"(\W)", text.lower())).split())


def evaluation_text(text: str) -> str:
    """The words that `eval.py` counts: `lower_and_space`, then what NLTK's word tokenizer still splits of it.

    After `lower_and_space` that is only words such as "cannot"; it also writes quotation marks differently, which no
    score depends on.

    >>> evaluation_text("You cannot miss it!")
    'you can not miss it !'
    """
    return " ".join(
        _TWO_TOKENS.sub(lambda match: " ".join(filter(None, match.groups())), lower_and_space(text)).split()
    )
