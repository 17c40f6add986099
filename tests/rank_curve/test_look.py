"""Pictures do not magnify noise, name their axes, and have a colour a rank that any eye can order."""

import pytest
from matplotlib.colors import to_rgb

from dylora.rank_curve.look import axis_label, limits, rank_colours


@pytest.mark.parametrize(("metric", "values"), [("accuracy", [0.81, 0.8101]), ("perplexity", [30.0, 30.01])])
def test_an_axis_spans_five_hundredths_at_least(metric, values):
    low, high = limits(values, metric)
    assert high - low >= (0.05 if metric == "accuracy" else 1.5)
    assert low < min(values) <= max(values) < high


def test_an_axis_holds_all_finite_values_and_survives_none():
    low, high = limits([0.2, float("nan"), 0.9], "accuracy")
    assert low < 0.2 < 0.9 < high
    assert limits([float("nan")], "accuracy")[0] < 0


def test_a_label_says_unit_and_direction():
    assert axis_label("loss") == "loss (nats), lower is better"
    assert axis_label("bleu") == "bleu (0 to 1), higher is better"


@pytest.mark.parametrize("is_dark", [False, True])
def test_colours_grow_lighter_with_the_rank_and_stand_out_from_their_ground(is_dark):
    light = [
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True))
        for colour in rank_colours(range(1, 9), is_dark).values()
    ]
    assert light == sorted(light)
    assert (light[0] > 0.2) if is_dark else (light[-1] < 0.75)
