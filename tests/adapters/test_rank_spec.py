"""Ranks as written on the command line."""

import pytest

from dylora.adapters.rank_spec import parse_ranks
from dylora.adapters.ranks import RankRange
from dylora.errors import InputError

EIGHT = RankRange(1, 8)


@pytest.mark.parametrize(
    ("spec", "ranks"),
    [
        ("3", (3,)),
        ("1,4,8", (1, 4, 8)),
        ("8, 1,1", (1, 8)),
        ("2-5", (2, 3, 4, 5)),
        ("7-7", (7,)),
        ("1,4-6", (1, 4, 5, 6)),
        ("all", (1, 2, 3, 4, 5, 6, 7, 8)),
    ],
)
def test_forms(spec, ranks):
    assert parse_ranks(spec, EIGHT) == ranks


def test_a_range_takes_the_trained_ranks_inside_it():
    assert parse_ranks("2-7", RankRange(2, 8, 2)) == (2, 4, 6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("0", r"--rank: must be among the adapter's ranks 1 to 8, got 0"),
        ("9", r"--rank: must be among the adapter's ranks 1 to 8, got 9"),
        ("1-9", r"--rank: must be among the adapter's ranks 1 to 8, got 9"),
        ("abc", r"--rank: must be one rank \(3\), several \(1,4,8\), a range \(2-5\) or all, got 'abc'"),
        ("-1", r"got '-1'"),
        ("", r"got ''"),
        ("1,,2", r"got '1,,2'"),
        ("2.5", r"got '2.5'"),
        ("5-2", r"--rank: must be a range from low to high, got '5-2'; write 2-5"),
    ],
)
def test_bad_forms_are_told_in_one_line(spec, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_ranks(spec, EIGHT)
    assert "\n" not in str(caught.value)


def test_a_rank_between_the_trained_ones_is_refused():
    with pytest.raises(InputError, match=r"adapter's ranks 2, 4, 6, 8, got '3'"):
        parse_ranks("3", RankRange(2, 8, 2))
