"""Paired gains: by hand, against scipy's paired t test and Welch's interval, and by their coverage."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from dylora.errors import InputError
from dylora.rank_curve.kept import KeptOutcomes
from dylora.rank_curve.paired import Gain, PairedRuns, mean_gain, redraw


def column(*values):
    return np.array(values, dtype=float)[:, None]


def test_by_hand_three_seeds_that_gain_1_2_and_3():
    # mean 2, deviation 1, error 1 / sqrt(3), t of 2 degrees 4.303: 2 ± 2.484
    found = mean_gain([PairedRuns(column(80, 70, 60), column(81, 72, 63))])[0]
    assert (found.value, found.low, found.high) == (
        pytest.approx(2),
        pytest.approx(-0.484, abs=1e-3),
        pytest.approx(4.484, abs=1e-3),
    )
    assert found.verdict == "cannot tell"


def test_seeds_alone_are_the_paired_t_test_of_scipy_in_every_column():
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(5, 4)), generator.normal(0.5, 1, size=(5, 4))
    test = stats.ttest_rel(after, before)
    low, high = test.confidence_interval(0.9)
    found = mean_gain([PairedRuns(before, after)], confidence=0.9)
    assert [gain.low for gain in found] == pytest.approx(low)
    assert [gain.high for gain in found] == pytest.approx(high)
    assert [gain.verdict != "cannot tell" for gain in found] == [p < 0.1 for p in test.pvalue]


def test_what_all_seeds_share_does_not_widen_the_interval():
    level = np.array([10.0, 50.0, 90.0])
    found = mean_gain([PairedRuns(level[:, None], (level + np.array([1.0, 1.1, 0.9]))[:, None])])[0]
    assert found.verdict == "win"
    assert found.high - found.low < 0.6


def test_over_two_tasks_the_errors_add_up_as_welch_has_them():
    # The mean of two independent means is half the difference that Welch's test is about, with one sign turned.
    generator = np.random.default_rng(1)
    first, second = generator.normal(1, 1, size=4), generator.normal(2, 3, size=3)
    low, high = stats.ttest_ind(first, -second, equal_var=False).confidence_interval(0.95)
    found = mean_gain([PairedRuns(np.zeros((n, 1)), gains[:, None]) for n, gains in ((4, first), (3, second))])[0]
    assert (found.value, found.low, found.high) == pytest.approx(
        ((first.mean() + second.mean()) / 2, low / 2, high / 2)
    )


def test_examples_and_seeds_are_two_parts_of_one_error():
    generator = np.random.default_rng(2)
    redrawn = generator.normal(3, 0.5, size=(2000, 3, 1))
    runs = PairedRuns(column(0, 0, 0), column(2, 3, 4), np.zeros((2000, 3, 1)), redrawn, np.zeros(1), 100)
    seeds, examples = 1 / 3, redrawn.mean(1).var(ddof=1)
    degrees = (seeds + examples) ** 2 / (seeds**2 / 2 + examples**2 / 99)
    width = stats.t.ppf(0.975, degrees) * (seeds + examples) ** 0.5
    found = mean_gain([runs])[0]
    assert (found.low, found.high) == pytest.approx((3 - width, 3 + width), rel=1e-4)


@pytest.mark.parametrize(
    ("reference", "system"),
    [((80,), (85,)), ((80, 70), (81, 71)), ((np.nan, 70), (81, 71))],
    ids=["one seed", "no spread", "one seed has the figure"],
)
def test_where_nothing_is_known_of_the_error_there_is_no_verdict(reference, system):
    found = mean_gain([PairedRuns(column(*reference), column(*system))])[0]
    assert found.value > 0
    assert np.isnan(found.low)
    assert found.verdict == "cannot tell"


def test_a_system_against_itself_is_0_and_cannot_be_told():
    assert mean_gain([PairedRuns(column(80, 70), column(80, 70))])[0] == Gain(0.0, 0.0, 0.0)
    assert Gain(0.0, 0.0, 0.0).verdict == "cannot tell"


def test_coverage_over_five_tasks_of_three_seeds_of_unequal_spread():
    generator = np.random.default_rng(0)
    trials, spreads = 4000, [0.2, 0.5, 0.5, 1.0, 2.0]
    tasks = [PairedRuns(np.zeros((3, trials)), generator.normal(0.3, s, size=(3, trials))) for s in spreads]
    covered = np.mean([gain.low < 0.3 < gain.high for gain in mean_gain(tasks)])
    assert 0.94 < covered < 0.985


def kept(values, expected):
    return KeptOutcomes(
        "classes",
        "accuracy",
        tuple(range(1, len(values) + 1)),
        values,
        expected,
        np.zeros(len(expected)),
        np.arange(len(expected)),
    )


def test_both_systems_are_evaluated_on_the_same_resampled_examples():
    generator = np.random.default_rng(0)
    expected = np.ones(400, dtype=int)
    before = generator.integers(2, size=(2, 400))
    after = before.copy()
    after[:, :40] = 1  # what was wrong there is right now
    reference, system, margins = redraw([kept(before, expected)], [kept(after, expected)])
    assert reference.shape == system.shape == (2000, 1, 2)
    gained = (after != before).mean(1)
    assert (system - reference)[:, 0].mean(0) == pytest.approx(gained, abs=2e-3)
    assert (system - reference)[:, 0].std(0) == pytest.approx((gained * (1 - gained) / 400) ** 0.5, rel=0.1)
    assert margins.tolist() == [0, 0]  # each rank has ten disagreements or more


def test_coverage_over_seeds_and_examples_of_two_tasks():
    # right where the example's ease, what a seed makes of it, the system's strength and the seed's luck exceed 0
    generator = np.random.default_rng(0)
    strengths, luck, noise, n = (0.5, 0.65), 0.1, 0.5, 300
    spread = NormalDist(0, (1 + noise**2 + luck**2) ** 0.5)
    truth = spread.cdf(strengths[1]) - spread.cdf(strengths[0])

    def task():
        ease = generator.normal(size=n)
        runs = [
            [(ease + generator.normal(0, noise, n) + strength + generator.normal(0, luck) > 0)[None] for _ in range(3)]
            for strength in strengths
        ]
        before, after = ([kept(run.astype(int), np.ones(n, dtype=int)) for run in system] for system in runs)
        figures = (np.array([run.mean(1) for run in system]) for system in runs)
        return PairedRuns(*figures, *redraw(before, after, resamples=300), n)

    found = [mean_gain([task(), task()])[0] for _ in range(300)]
    assert 0.93 < np.mean([gain.low < truth < gain.high for gain in found]) < 0.99


def test_other_examples_cannot_be_paired():
    values, expected = np.ones((1, 9), dtype=int), np.ones(9, dtype=int)
    with pytest.raises(InputError, match="same 9 examples"):
        redraw([kept(values, expected)], [kept(values, 1 - expected)])
