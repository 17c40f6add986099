"""The best checkpoint under other cuts, on the examples of its validation, with the weights as they were afterwards."""

import pytest
import torch

from dylora.adapters.cuts import cut
from dylora.callbacks.best_and_last import BestAndLast
from dylora.callbacks.calibration import Calibration
from dylora.callbacks.compare_cuts import CompareCuts, CutResult, cut_words
from dylora.callbacks.rank_curves import RankCurves
from dylora.rank_curve.compare import Comparison
from dylora.rank_curve.intervals import Interval


@pytest.fixture
def compared(fit, module, tmp_path):
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    module.learning_rate = 0.05
    (tmp_path / "run").mkdir()
    curves = RankCurves(tmp_path / "run", {})
    best = BestAndLast(tmp_path / "run" / "checkpoints", "accuracy")
    comparing = CompareCuts(curves)
    fit(curves, comparing, best, validate=True, enable_checkpointing=True)
    return curves, comparing


def test_the_cut_of_the_best_checkpoint_is_what_is_compared(compared, module, loader, tmp_path):
    curves, comparing = compared
    trained = {name: p.detach().clone() for name, p in module.named_parameters()}
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(trained[name], tensor) for name, tensor in last.items())
    assert [result.kind for result in comparing.results] == ["svd", "two-sided"]
    assert comparing.results[1].calibration.examples == 24
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    module.load_state_dict(best, strict=False)
    module.eval()
    module.log = lambda *args, **kwargs: None
    with torch.no_grad(), cut(module.model, "svd"):
        for batch in loader:
            module.count(batch, 0)
        module.on_validation_epoch_end()
    assert comparing.results[0].comparison.values == pytest.approx(module.results["accuracy"])
    as_trained = curves.best["metrics"]["accuracy"]
    gains = {rank: value - as_trained[str(rank)] for rank, value in module.results["accuracy"].items()}
    assert {rank: gain.value for rank, gain in comparing.results[0].comparison.gains.items()} == pytest.approx(gains)


def _result(kind, mean, low, high, calibration=None):
    gains = {1: Interval(mean, low, high), 2: Interval(0.0, -0.1, 0.1)}
    return CutResult(kind, Comparison({1: 0.5, 2: 0.6}, gains, Interval(mean, low, high)), 0.5, calibration)


def test_the_words_name_the_better_cut_only_with_evidence():
    two_sided = _result("two-sided", 0.03, 0.01, 0.05, Calibration({}, 1000, 2.0))
    lines = cut_words([_result("svd", 0.02, 0.01, 0.03), two_sided])
    assert lines[-1] == (
        "The two-sided cut of it is better in the mean over the ranks, at rank 1 alone too: "
        "python -m dylora validate --cut two-sided"
    )
    assert lines[1].endswith(
        "+0.0300 [+0.0100, +0.0500] (95 %); 0.5 s; statistics over 1,000 training examples in 2.0 s"
    )
    assert cut_words([_result("svd", 0.02, -0.01, 0.05)])[-1].startswith("As trained is not shown to be worse")
    assert cut_words([]) == []
