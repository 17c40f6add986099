import pytest

from dylora.errors import InputError
from dylora.metrics.nlg.inputs import check_texts


def test_texts_that_fit_each_other_are_taken_empty_hypotheses_included():
    check_texts(["a pub", ""], [["a pub", "the pub"], ("a pub",)])


def test_another_number_of_references_is_one_line_with_both_numbers():
    with pytest.raises(InputError, match=r"^references: .* as many as the 2 hypotheses, got 1; .*$"):
        check_texts(["a", "b"], [["a"]])


@pytest.mark.parametrize("references", [[["a"], []], [["a"], "b"]])
def test_an_item_without_a_list_of_references_is_named_by_its_number(references):
    with pytest.raises(InputError, match="for item 2"):
        check_texts(["a", "b"], references)


def test_nothing_to_score_is_refused():
    with pytest.raises(InputError, match="at least one item"):
        check_texts([], [])
