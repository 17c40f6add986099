import pytest

from dylora.metrics.nlg.postprocess import evaluation_text, lower_and_space


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("It's £20-25 (approx.), i.e. $1,000.50!", "it ' s £ 20 - 25 ( approx . ) , i . e . $ 1 , 000 . 50 !"),
        ("  Madrid–Barajas\tis\n18L/36R  ", "madrid – barajas is 18l / 36r"),  # noqa: RUF001
        ("snake_case", "snake_case"),
        ("", ""),
    ],
)
def test_lower_and_space_sets_off_all_but_letters_digits_and_underscores(text, spaced):
    assert lower_and_space(text) == spaced
    assert lower_and_space(spaced) == spaced


def test_evaluation_text_splits_the_words_that_nltk_splits():
    text = "Cannot, gimme, gonna, gotta, lemme, wanna; cannots, wannabe, can not"
    words = "can not , gim me , gon na , got ta , lem me , wan na ; cannots , wannabe , can not"
    assert evaluation_text(text) == words


def test_lower_and_space_equals_gpt2_decode(linearisation):
    items = linearisation["gpt2_decode_post_process"]["items"]
    assert [lower_and_space(item["text"]) for item in items] == [item["processed"] for item in items]


def test_lower_and_space_equals_gpt2_decode_on_the_samples(table_sample):
    processed = table_sample["lora_postprocessed"]
    assert [lower_and_space(text) for text in table_sample["hypotheses"]] == processed["hypotheses"]
    spaced = [[lower_and_space(text) for text in texts] for texts in table_sample["references"]]
    assert spaced == processed["references"]
