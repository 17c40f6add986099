"""Texts as the LoRA code base has them; the expected forms are read off its published file."""

import pytest

from dylora.data.sources.respace import respace

PUBLISHED = {
    "a pub, it's in the city center. The pub isn't very family friendly, but i wouldn't go.": (
        "a pub , it 's in the city center . The pub is n't very family friendly , but i would n't go ."
    ),
    "in the city center., close to": "in the city center . , close to",
    "Kid friendly, .Blue Spice": "Kid friendly , .Blue Spice",
    "a family-oriented, non-family friendly pub": "a family - oriented , non - family friendly pub",
    "the £20 - £25 price range, not the £20-£25 one": "the £ 20 - £ 25 price range , not the £ 20-£25 one",
    "range of£20-£30 and": "range of£20-£30 and",
    "'The Phoenix' is a kid-friendly French pub.": "' The Phoenix ' is a kid - friendly French pub .",
    "called 'The Phoenix'.": "called ' The Phoenix ' .",
    "There's a pub, it's cheap, you can't complain.": "There 's a pub , it 's cheap , you ca n't complain .",
    "Rainbow Vegetarian Café\r\n  near  here": "Rainbow Vegetarian Café near here",
    "£20-25": "£ 20 - 25",
    "more than £30": "more than £ 30",
    "5 out of 5": "5 out of 5",
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_texts_of_the_published_file(text):
    assert respace(text) == PUBLISHED[text]


@pytest.mark.parametrize("text", PUBLISHED.values())
def test_respaced_text_stays_as_it_is(text):
    assert respace(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 5-star pub", "a 5-star pub"),
        ("burgers,drinks", "burgers , drinks"),
        ("the river.It", "the river . It"),
        ("on Main St.", "on Main St."),
        ("costs £10.50.", "costs £ 10.50 ."),
        ("up to 30L.", "up to 30L."),
        ("wait... what?!", "wait ... what ? !"),
        ("thats what I'd say; we'll go", "that s what I 'd say ; we 'll go"),
        ("", ""),
    ],
)
def test_rules_of_the_tokenizer_of_that_file(text, expected):
    assert respace(text) == expected
