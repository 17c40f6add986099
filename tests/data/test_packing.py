"""Rows packed into one, with places that begin anew."""

from dylora.data.completion import Row
from dylora.data.packing import packed_rows, packs

ROWS = [
    Row([5, 6, 7], [-100, 6, 7], truncated=True),
    Row([8, 9], [-100, 9], truncated=False),
    Row([1, 2, 3, 4], [-100, -100, 3, 4], truncated=False),
]


def test_rows_keep_their_order_and_none_is_cut():
    lengths = [3, 4, 2, 5, 1, 7, 7]
    found = packs(lengths, 7)
    assert [place for group in found for place in group] == list(range(7))
    assert all(sum(lengths[place] for place in group) <= 7 for group in found)
    assert found == [[0, 1], [2, 3], [4], [5], [6]]


def test_nothing_makes_nothing():
    assert packs([], 7) == []


def test_tokens_labels_and_places_lie_side_by_side():
    packed = packed_rows(ROWS, 6)
    assert packed["input_ids"][:] == [[5, 6, 7, 8, 9], [1, 2, 3, 4]]
    assert packed["labels"][:] == [[-100, 6, 7, -100, 9], [-100, -100, 3, 4]]
    assert packed["position_ids"][:] == [[0, 1, 2, 0, 1], [0, 1, 2, 3]]
    assert packed["length"][:] == [5, 4]
    assert (packed["rows"][:], packed["truncated"][:], packed["index"][:]) == ([2, 1], [1, 0], [0, 1])
