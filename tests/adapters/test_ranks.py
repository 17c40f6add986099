"""Ranks, their probabilities, and the rank of a step."""

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

import dylora
from dylora.adapters.ranks import RankDistribution, RankRange, rank_at
from dylora.errors import InputError

EIGHT = RankRange(1, 8)
# By hand: 0.15 * 0.85 ** (b - 1) / (1 - 0.85 ** 8) for b = 1 to 8, with 0.85 ** 8 = 0.2724905250390625.
GEOMETRIC_15 = [
    0.2061828817,
    0.1752554494,
    0.148967132,
    0.1266220622,
    0.1076287529,
    0.0914844399,
    0.077761774,
    0.0660975079,
]


def draws(distribution, ranks, seed, steps):
    probabilities = distribution.probabilities(ranks)
    return [rank_at(ranks, probabilities, seed, step) for step in range(steps)]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((1, 8, 1), [1, 2, 3, 4, 5, 6, 7, 8]),
        ((3, 3, 1), [3]),
        ((2, 10, 4), [2, 6, 10]),
        ((1, 1, 5), [1]),
    ],
)
def test_range_runs_from_min_to_max_with_both_ends(bounds, expected):
    ranks = RankRange(*bounds)
    assert list(ranks) == expected
    assert len(ranks) == len(expected)
    assert [b for b in range(-1, 12) if b in ranks] == expected


def test_uniform_gives_every_rank_the_same_probability():
    assert RankDistribution().probabilities(EIGHT) == (0.125,) * 8


def test_geometric_is_truncated_and_renormalised():
    probabilities = RankDistribution("geometric", p=0.15).probabilities(EIGHT)
    assert probabilities == pytest.approx(GEOMETRIC_15, abs=1e-9)
    assert sum(probabilities) == pytest.approx(1, abs=1e-15)


def test_geometric_keeps_its_ratio_when_ranks_are_left_out():
    p2, p5, p8 = RankDistribution("geometric", p=0.5).probabilities(RankRange(2, 8, 3))
    assert p2 / p5 == pytest.approx(8)  # 1 / (1 - p) ** 3
    assert p5 / p8 == pytest.approx(8)
    assert p2 + p5 + p8 == pytest.approx(1)


def test_weights_are_normalised():
    assert RankDistribution("weights", weights=[1, 0, 5, 2]).probabilities(RankRange(1, 4)) == (0.125, 0, 0.625, 0.25)


@pytest.mark.parametrize("ranks", [EIGHT, RankRange(2, 8, 3), RankRange(3, 3)])
def test_max_rank_draws_the_largest_rank_at_every_step(ranks):
    assert set(draws(RankDistribution("max_rank"), ranks, seed=3, steps=200)) == {ranks.max_rank}


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (RankDistribution(), [0.125] * 8),
        (RankDistribution("geometric", p=0.15), GEOMETRIC_15),
        (RankDistribution("weights", weights=[8, 1, 1, 1, 1, 1, 1, 2]), [0.5] + [0.0625] * 6 + [0.125]),
    ],
    ids=["uniform", "geometric", "weights"],
)
def test_frequencies_follow_the_probabilities(distribution, expected):
    steps = 10_000
    counts = Counter(draws(distribution, EIGHT, seed=3, steps=steps))
    observed = [counts[b] for b in range(1, 9)]
    expected_counts = np.array(expected) / sum(expected) * steps
    assert chisquare(observed, expected_counts).pvalue > 0.001


def test_consecutive_steps_are_independent():
    ranks = draws(RankDistribution(), RankRange(1, 4), seed=3, steps=10_000)
    table = np.zeros((4, 4))
    for before, after in pairwise(ranks):
        table[before - 1, after - 1] += 1
    assert chi2_contingency(table).pvalue > 0.001


def test_a_rank_of_weight_zero_is_never_drawn():
    ranks = draws(RankDistribution("weights", weights=[0, 3, 0, 1, 0]), RankRange(1, 5), seed=0, steps=5_000)
    assert set(ranks) == {2, 4}


def test_rounding_of_the_probabilities_never_leads_to_a_rank_of_weight_zero():
    seen = {rank_at(RankRange(1, 3), (0.4, 0.4, 0.0), seed=0, step=step) for step in range(500)}
    assert seen == {1, 2}


def test_ranks_of_a_range_with_a_step_are_all_drawn_and_no_others():
    assert set(draws(RankDistribution(), RankRange(2, 8, 3), seed=0, steps=200)) == {2, 5, 8}


def test_a_step_has_the_same_rank_whatever_was_drawn_before():
    forwards = [rank_at(EIGHT, [1 / 8] * 8, seed=10, step=step) for step in range(50)]
    backwards = [rank_at(EIGHT, [1 / 8] * 8, seed=10, step=step) for step in reversed(range(50))]
    assert forwards == backwards[::-1]


def test_drawing_reads_and_moves_no_global_generator():
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = rank_at(EIGHT, [1 / 8] * 8, seed=10, step=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    np.random.seed(99)
    torch.manual_seed(99)
    assert rank_at(EIGHT, [1 / 8] * 8, seed=10, step=3) == first


def test_another_process_finds_the_same_ranks():
    code = (
        "from dylora.adapters.ranks import RankRange, rank_at\n"
        "print([rank_at(RankRange(1, 8), [1 / 8] * 8, seed=42, step=step) for step in range(100)])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(dylora.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == str(draws(RankDistribution(), EIGHT, seed=42, steps=100))


def test_different_seeds_give_different_sequences():
    sequences = {tuple(draws(RankDistribution(), EIGHT, seed, 30)) for seed in range(20)}
    assert len(sequences) == 20


def test_a_rank_is_a_plain_int():
    assert type(rank_at(EIGHT, np.full(8, 0.125), seed=0, step=0)) is int


@pytest.mark.parametrize(
    ("make", "argument", "given"),
    [
        (lambda: RankRange(5, 4), "min_rank", "min_rank 5 > max_rank 4"),
        (lambda: RankRange(0, 4), "min_rank", "0"),
        (lambda: RankRange(1, 0), "max_rank", "0"),
        (lambda: RankRange(-1, 4), "min_rank", "-1"),
        (lambda: RankRange(1, 4, 0), "rank_step", "0"),
        (lambda: RankRange(1, 8, 3), "rank_step", "3"),
        (lambda: RankDistribution("geometric", p=0.0), "p", "0.0"),
        (lambda: RankDistribution("geometric", p=1.0), "p", "1.0"),
        (lambda: RankDistribution("geometric", p=-0.2), "p", "-0.2"),
        (lambda: RankDistribution("geometric", p=float("nan")), "p", "nan"),
        (lambda: RankDistribution("poisson"), "distribution", "'poisson'"),
        (lambda: RankDistribution("weights", weights=[1, -2, 3]), "weights", "-2"),
        (lambda: RankDistribution("weights", weights=[1, float("inf")]), "weights", "inf"),
        (lambda: RankDistribution("weights", weights=[0, 0]), "weights", "[0, 0]"),
        (lambda: RankDistribution("weights", weights=[]), "weights", "[]"),
        (lambda: RankDistribution("weights"), "weights", "distribution 'weights' with weights None"),
        (lambda: RankDistribution("uniform", weights=[1]), "weights", "distribution 'uniform' with weights [1]"),
        (lambda: RankDistribution("weights", weights=[1, 1]).probabilities(EIGHT), "weights", "2 numbers"),
        (lambda: RankDistribution("weights", weights=[1] * 9).probabilities(EIGHT), "weights", "9 numbers"),
    ],
)
def test_bad_value_is_told_in_one_line(make, argument, given):
    with pytest.raises(InputError) as caught:
        make()
    message = str(caught.value)
    assert message.startswith(f"{argument}: must be ")
    assert f", got {given}; " in message
    assert "\n" not in message
