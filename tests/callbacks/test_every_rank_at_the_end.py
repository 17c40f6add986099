"""Validations at a few ranks, and every rank of the best and the last weights when training ends."""

import json

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dylora.callbacks.best_and_last import BestAndLast
from dylora.callbacks.compare_cuts import CompareCuts
from dylora.callbacks.every_rank_at_the_end import EveryRankAtTheEnd
from dylora.callbacks.rank_curves import RankCurves
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.errors import InputError
from dylora.rank_curve.summary import aurac
from dylora.runs.outcomes_file import outcomes_of_step


@pytest.fixture
def run(fit, make_module, tmp_path):
    """Three epochs of a module whose ranks differ; the best is not the last."""

    def go(epoch_ranks, name="few", **length):
        module = make_module(epoch_ranks=epoch_ranks, learning_rate=0.05)
        generator = torch.Generator().manual_seed(4)
        for each, parameter in module.named_parameters():
            if "lora_B" in each:
                torch.nn.init.normal_(parameter, generator=generator)
        folder = tmp_path / name / "version_0"
        folder.mkdir(parents=True)
        curves = RankCurves(folder, {})
        best = BestAndLast(folder / "checkpoints", "accuracy")
        logger = TensorBoardLogger(tmp_path, name, "version_0", default_hp_metric=False)
        callbacks = [EveryRankAtTheEnd(curves), curves, CompareCuts(curves), RankSamplingCallback("dylora"), best]
        fit(
            *callbacks,
            model=module,
            validate=True,
            enable_checkpointing=True,
            logger=logger,
            **{"max_epochs": 3, **length},
            log_every_n_steps=1,
        )
        return module, curves, folder

    return go


def _evaluate(module, loader, weights):
    """Metrics at every rank, with weights of a checkpoint."""
    module.load_state_dict(torch.load(weights, weights_only=True)["state_dict"], strict=False)
    module.eval()
    with torch.no_grad():
        for batch in loader:
            module.count(batch, 0)
        module.take_results()
    return module.results["accuracy"]


def test_each_epoch_has_its_ranks_and_the_best_and_the_last_have_every_rank(run, loader):
    module, curves, folder = run("1,3")
    content = json.loads((folder / "rank_metrics.json").read_text())
    assert content["epoch_ranks"] == [1, 3]
    best, last = content["best"], content["last"]
    assert best["step"] != last["step"]  # or this shows less
    for epoch in content["epochs"]:
        whole = epoch["step"] in (best["step"], last["step"])
        assert set(epoch["metrics"]["accuracy"]) == ({"1", "2", "3", "4"} if whole else {"1", "3"})
        assert epoch["score"] == pytest.approx(
            (epoch["metrics"]["accuracy"]["1"] + epoch["metrics"]["accuracy"]["3"]) / 2
        )
    assert best["score"] == max(epoch["score"] for epoch in content["epochs"])
    assert module.eval_ranks == (1, 2, 3, 4)
    assert module.results["accuracy"] == {int(rank): value for rank, value in last["metrics"]["accuracy"].items()}
    for record, name in ((best, "best"), (last, "last")):
        again = _evaluate(module, loader, folder / "checkpoints" / f"{name}.ckpt")
        assert again == pytest.approx({int(rank): value for rank, value in record["metrics"]["accuracy"].items()})
        assert record["aurac"] == pytest.approx(aurac(again))
        kept = outcomes_of_step(folder, record["step"])
        assert kept.ranks == (1, 2, 3, 4)
        assert (kept.values == kept.expected).mean(1).tolist() == pytest.approx(list(again.values()))
    assert content["chosen"]["step"] == best["step"]
    assert set(curves.cut_figures["svd"]) == {1, 2, 3, 4}


def test_the_best_weights_have_every_rank_where_they_are_the_last_validated_but_not_the_last(run, loader):
    module, _, folder = run("1,3", max_steps=8)  # validated after six, and no callback validates the last ones
    (epoch,) = json.loads((folder / "rank_metrics.json").read_text())["epochs"]
    assert epoch["step"] == 6
    path = folder / "checkpoints" / "best.ckpt"
    assert torch.load(path, weights_only=True)["global_step"] == 6
    before = {name: tensor.clone() for name, tensor in module.state_dict().items() if "lora_" in name}
    again = _evaluate(module, loader, path)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items() if name in before)
    assert {int(rank): value for rank, value in epoch["metrics"]["accuracy"].items()} == pytest.approx(again)
    assert outcomes_of_step(folder, 6).ranks == (1, 2, 3, 4)


def test_training_ends_with_the_weights_that_it_has_without_the_option(run):
    few, *_ = run("4")
    every, *_ = run("all", "every")
    ends = zip(few.state_dict().items(), every.state_dict().items(), strict=True)
    assert all(torch.equal(a, b) for (name, a), (_, b) in ends if "metrics" not in name)


def test_with_every_rank_in_each_epoch_the_file_says_nothing_of_it(run):
    _, curves, folder = run("1-4")
    assert "epoch_ranks" not in json.loads((folder / "rank_metrics.json").read_text())
    assert all(set(record["metrics"]["accuracy"]) == {"1", "2", "3", "4"} for record in curves.history)


def test_dashboards_have_the_other_ranks_of_the_last_weights_alone(run):
    module, _, folder = run("1,3")
    events = EventAccumulator(str(folder)).Reload()
    assert len(events.Scalars("val/accuracy/rank_1")) == len(events.Scalars("val/accuracy/aurac")) == 3
    (point,) = events.Scalars("val/accuracy/rank_2")
    assert point.value == pytest.approx(module.results["accuracy"][2])


def test_ranks_that_the_adapter_does_not_have_are_refused(make_module):
    with pytest.raises(InputError, match=r"model\.epoch_ranks: .* 1 to 4"):
        make_module(epoch_ranks="1,9")


class _Raises(Callback):
    """Raises in the first epoch after the first validation."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.current_epoch == 1:
            raise KeyError


def test_after_a_training_that_raised_every_rank_is_evaluated(make_module, loader, fit, quiet_trainer):
    module = make_module(epoch_ranks="1,3")
    ranks = []
    module.on_validation_end = lambda: ranks.append(module.eval_ranks)
    with pytest.raises(KeyError):
        fit(_Raises(), model=module, validate=True)
    assert ranks == [(1, 3)]
    assert module.eval_ranks == (1, 2, 3, 4)
    quiet_trainer.validate(module, loader, verbose=False)
    assert set(module.results["accuracy"]) == {1, 2, 3, 4}
    module.eval_ranks = (2,)
    quiet_trainer.validate(module, loader, verbose=False)
    assert set(module.results["accuracy"]) == {2}


@pytest.fixture
def quiet_trainer(tmp_path):
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", default_root_dir=tmp_path, enable_model_summary=False, **options)


def test_after_a_training_without_a_step_every_rank_is_evaluated(make_module, fit):
    module = make_module(epoch_ranks="1,3")
    fit(model=module, validate=True, max_epochs=0)
    assert module.eval_ranks == (1, 2, 3, 4)
