"""A share of each class is set aside."""

from collections import Counter

from dylora.data.sources.stratified import stratified_split

LABELS = ["a"] * 10 + ["b"] * 20 + ["c"] * 2 + ["d"]


def test_the_share_of_each_class_and_at_least_one_but_never_all():
    kept, aside = stratified_split(LABELS, 0.2, 0)
    assert sorted(kept + aside) == list(range(33))
    assert Counter(LABELS[row] for row in aside) == {"a": 2, "b": 4, "c": 1}
    assert Counter(LABELS[row] for row in kept) == {"a": 8, "b": 16, "c": 1, "d": 1}


def test_the_seed_decides():
    assert stratified_split(LABELS, 0.2, 0) == stratified_split(LABELS, 0.2, 0)
    assert stratified_split(LABELS, 0.2, 0) != stratified_split(LABELS, 0.2, 1)


def test_both_keep_the_order_of_the_rows():
    kept, aside = stratified_split(LABELS, 0.5, 3)
    assert kept == sorted(kept)
    assert aside == sorted(aside)
