from collections import Counter

from dylora.metrics.nlg.ngrams import count_up_to, merged_maximum, ngrams


def test_ngrams_of_more_words_than_there_are_are_none():
    assert ngrams(["a", "b"], 3) == []


def test_count_up_to_counts_all_lengths():
    assert count_up_to(["a", "b", "a", "b"], 2) == {("a",): 2, ("b",): 2, ("a", "b"): 2, ("b", "a"): 1}


def test_merged_maximum_takes_the_most_of_any_one_text():
    counts = [Counter({("a",): 2, ("b",): 1}), Counter({("a",): 1, ("c",): 3})]
    assert merged_maximum(counts) == {("a",): 2, ("b",): 1, ("c",): 3}
