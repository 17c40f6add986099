"""A rank for each row of a batch, stratified over the law."""

from collections import Counter

import pytest
import torch

from dylora.adapters.mixed_ranks import mixed_ranks, stratified_ranks, van_der_corput
from dylora.adapters.ranks import RankRange

EIGHT, UNIFORM = RankRange(1, 8), [1 / 8] * 8


def test_the_points_are_the_mirrored_binary_digits():
    expected = [int(f"{i:06b}"[::-1], 2) / 64 for i in range(64)]
    assert van_der_corput(torch.arange(64)).tolist() == expected


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.3, 0.777, 0.999])
@pytest.mark.parametrize("first", [0, 8, 40])
def test_of_eight_places_in_a_row_each_of_eight_ranks_has_one(shift, first):
    assert sorted(stratified_ranks(EIGHT, UNIFORM, torch.arange(first, first + 8), shift).tolist()) == list(range(1, 9))


@pytest.mark.parametrize("step", range(5))
def test_each_rank_occurs_as_often_as_its_probability_says_rounded_up_or_down(step):
    law = (0.05, 0.15, 0.3, 0.5)
    found = Counter(mixed_ranks(RankRange(1, 4), law, 7, step, torch.arange(64)).tolist())
    for rank, p in enumerate(law, start=1):
        assert abs(found[rank] - 64 * p) < 1, rank


def test_every_row_follows_the_law_whatever_its_place():
    law = (1 / 8, 1 / 8, 1 / 4, 1 / 2)
    shifts = [(k + 0.5) / 32 for k in range(32)]
    for place in range(12):
        drawn = Counter(int(stratified_ranks(RankRange(1, 4), law, torch.tensor([place]), shift)) for shift in shifts)
        assert [drawn[rank] / 32 for rank in (1, 2, 3, 4)] == list(law), place


def test_half_of_the_rows_are_at_max_rank_and_the_other_half_is_stratified():
    halves = set()
    for step in range(8):
        ranks = mixed_ranks(EIGHT, UNIFORM, 3, step, torch.arange(16), half_batch=True)
        counts = Counter(ranks.tolist())
        assert counts == {**dict.fromkeys(range(1, 8), 1), 8: 9}
        halves.add(bool((ranks[::2] == 8).all()))
    assert halves == {True, False}  # so that no place is always at max_rank


def test_a_rows_rank_is_a_function_of_seed_step_and_place_alone():
    whole = mixed_ranks(EIGHT, UNIFORM, 10, 4, torch.arange(32))
    assert (
        whole[torch.tensor([31, 5, 9])].tolist()
        == mixed_ranks(EIGHT, UNIFORM, 10, 4, torch.tensor([31, 5, 9])).tolist()
    )
    assert whole.tolist() != mixed_ranks(EIGHT, UNIFORM, 10, 5, torch.arange(32)).tolist()
    assert whole.tolist() != mixed_ranks(EIGHT, UNIFORM, 11, 4, torch.arange(32)).tolist()


def test_only_ranks_of_the_range_that_the_law_allows_are_drawn():
    ranks = mixed_ranks(RankRange(2, 8, 3), (0.5, 0.5, 0.0), 1, 0, torch.arange(1000))
    assert set(ranks.tolist()) == {2, 5}
