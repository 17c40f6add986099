"""The choice as files and the terminal have it."""

import json

import numpy as np
import pytest

from dylora.rank_curve.evidence import choice_if_any, choice_of, choice_record, choice_table, choose_from
from dylora.rank_curve.kept import KeptOutcomes


def _kept(*right, n=2000, ranks=None):
    values = np.array([np.arange(n) < count for count in right]).astype(int)
    ranks = ranks or tuple(range(1, len(right) + 1))
    return KeptOutcomes("classes", "accuracy", ranks, values, np.ones(n, int), np.zeros(n, int), np.arange(n))


def test_record_and_table_hold_every_rank():
    choice = choose_from([_kept(1400, 1597, 1600)])
    record = json.loads(json.dumps(choice_record(choice, 0.01, 2000)))
    assert (record["rank"], record["certain"], record["best_rank"], record["examples"]) == (2, True, 3, 2000)
    assert record["ranks"]["1"]["value"] == 0.7
    assert record["ranks"]["1"]["difference"] == pytest.approx(-0.1)
    low, high = record["ranks"]["1"]["interval"]
    assert 0.67 < low < 0.69 < 0.71 < high < 0.73
    lines = choice_table(choice, "accuracy").splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["worse", "within", "within"]
    assert lines[1].startswith("     1  0.7000 [0.")
    assert choice_of(record) == choice


def test_seeds_are_taken_together():
    runs = [_kept(1400 + 40 * seed, 1600 + 40 * seed) for seed in range(3)]
    found = choose_from(runs).evidence[1].metric
    assert found.value == pytest.approx(0.72)
    assert found.high - found.low > 0.08  # three seeds 0.02 apart say no more than that


def test_a_single_rank_and_no_outcomes_choose_nothing():
    assert choice_if_any(None, 0.01) is None
    assert choice_if_any(_kept(1400, ranks=(8,)), 0.01) is None
