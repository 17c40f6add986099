import re

import pytest

from dylora.metrics.nlg import ptb_abbreviations, ptb_tokens


@pytest.mark.parametrize("name", ["ACRONYM", "ANYWHERE", "BEFORE_NAMES", "BEFORE_NUMBERS", "SENTENCE_STARTS"])
def test_every_list_is_a_pattern_of_words(name):
    pattern = re.compile(getattr(ptb_abbreviations, name))
    assert not pattern.match("")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("in Mass. or MASS. but mass.", ("in", "mass.", "or", "mass.", "but", "mass")),
        ("Dr. Who of Jan. and U.K. ltd.", ("dr.", "who", "of", "jan.", "and", "u.k.", "ltd.")),
        ("no. 5 or no.", ("no.", "5", "or", "no")),
        ("vitamin C. It is C. and", ("vitamin", "c", "it", "is", "c.", "and")),
    ],
)
def test_abbreviations_keep_their_full_stop(text, tokens):
    assert ptb_tokens(text) == tokens
