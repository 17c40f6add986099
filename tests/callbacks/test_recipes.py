"""Recipes beside the choice of ranks: what each does to a run, alone and combined, and that a run resumes with it."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import reference
import torch
from lightning.pytorch import Callback

from dylora.adapters.active_rank import use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.distillation import Distillation
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.mixed_ranks import mixed_ranks
from dylora.adapters.ordered_decay import ordered_penalty
from dylora.adapters.ranks import RankRange
from dylora.callbacks.ordered_decay import LossScale, OrderedDecay
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.callbacks.sort_and_polish import SortAndPolish, order_steps, sort_in_training
from dylora.callbacks.step_seed import StepSeed
from dylora.errors import InputError
from dylora.methods.full import FullFineTuning

TWO_PROCESSES = str(Path(__file__).with_name("two_processes.py"))
FOUR, UNIFORM = RankRange(1, 4), [0.25] * 4
DECAY = OrderedDecay(in_loss=1e-2, decoupled=0.3)
RECIPES = {
    "mixed": {"objective": "mixed"},
    "half_batch": {"objective": "half_batch"},
    "ordered_decay": {"distribution": "max_rank", "ordered_decay": DECAY},
    "sorted_before": {"polish": SortAndPolish(sort_at=0.3, sort_by="two-sided", examples=8)},
    "learned": {"polish": SortAndPolish(sort_at=0.4, examples=8, order_steps=2)},
    "sorted_after": {"polish": SortAndPolish(sort_at=0.7, sort_by="svd")},
    "distillation": {"distillation": Distillation(0.5)},
    "compensation": {"compensation": 3.0},
    "all": {
        "ordered_decay": OrderedDecay(1e-2, 0.3, "sqrt"),
        "polish": SortAndPolish(sort_at=0.6, examples=8, order_steps=1),
        "distillation": Distillation(0.5, "mse"),
        "compensation": 2.0,
    },
}


class KeepFirstEpoch(Callback):
    """Writes a checkpoint at the end of the first epoch."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


def _pairs(module):
    return [m for m in module.modules() if isinstance(m, LowRankFactors)]


def _trained(module):
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


def _without_dropout(module):
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0


@pytest.mark.parametrize("half_batch", [False, True])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_rows_rank_is_that_of_its_place_in_the_global_batch(fit, module, accumulate, half_batch):
    objective = "half_batch" if half_batch else "mixed"
    fit(RankSamplingCallback("dylora", objective=objective, seed=3), accumulate_grad_batches=accumulate)
    expected = [mixed_ranks(FOUR, UNIFORM, 3, i // accumulate, _places(i % accumulate), half_batch) for i in range(12)]
    assert [seen[0].tolist() for seen in module.seen] == [ranks.tolist() for ranks in expected]


def _places(micro_batch):
    return torch.arange(4) + 4 * micro_batch


def test_accumulated_micro_batches_end_as_one_batch_of_all_their_rows(fit, module, loader, backbone, tmp_path):
    _without_dropout(module)
    start = _trained(module)
    fit(RankSamplingCallback("dylora", objective="mixed"), accumulate_grad_batches=3)
    accumulated = _trained(module)
    module.load_state_dict(start, strict=False)
    whole = torch.utils.data.DataLoader(loader.dataset, batch_size=12)
    fit(RankSamplingCallback("dylora", objective="mixed"), train_loader=whole)
    for name, value in _trained(module).items():
        torch.testing.assert_close(value, accumulated[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_resumed_run_ends_with_the_same_bits(fit, make_module, tmp_path, recipe):
    path = tmp_path / "first_epoch.ckpt"
    whole, resumed = make_module(), make_module()
    fit(StepSeed(3), RankSamplingCallback("dylora", **RECIPES[recipe]), KeepFirstEpoch(path), model=whole)
    fit(StepSeed(3), RankSamplingCallback("dylora", **RECIPES[recipe]), model=resumed, ckpt_path=path)
    assert len(resumed.seen) == 6
    for name, value in _trained(whole).items():
        assert torch.equal(resumed.get_parameter(name), value), name


LESS_MEMORY = {"backbone_dtype": "bf16", "gradient_checkpointing": True}


@pytest.mark.parametrize("options", [{}, LESS_MEMORY], ids=["", "with less memory"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_trains_in_bf16(fit, make_module, recipe, options):
    module = make_module(**options)
    before = _trained(module)
    fit(RankSamplingCallback("dylora", **RECIPES[recipe]), model=module, precision="bf16-mixed")
    after = _trained(module)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


def test_without_options_a_run_is_what_it_was_and_its_checkpoint_too(fit, make_module):
    callback = RankSamplingCallback("dylora")
    assert callback.state_dict() == {}
    module = make_module()
    fit(callback, model=module)
    assert module.penalty is None
    assert module.distillation is None


def test_penalty_is_relative_to_the_mean_task_loss_of_the_steps_before(fit, module, monkeypatch):
    _without_dropout(module)
    added, losses = [], []
    inner = module.training_step

    def step(batch, batch_idx):
        before = ordered_penalty(module.model).item()
        loss = inner(batch, batch_idx)
        losses.append(module.task_loss.item())
        added.append((loss.item() - losses[-1]) / before)
        return loss

    monkeypatch.setattr(module, "training_step", step)
    fit(RankSamplingCallback("dylora", "max_rank", ordered_decay=OrderedDecay(in_loss=0.1)))
    scales = [0.0, *(sum(losses[:n]) / n for n in range(1, 11)), sum(losses[:10]) / 10]
    assert added == pytest.approx([0.1 * scale for scale in scales], rel=1e-3, abs=1e-6)


def test_a_loss_that_is_not_finite_does_not_count():
    scale = LossScale()
    scale.add(2.0)
    scale.add(math.nan)
    scale.begin_step()
    assert scale.value == 2.0


def test_decoupled_decay_is_applied_behind_every_step_with_its_learning_rate(fit, make_module):
    plain, decayed = make_module(), make_module()
    for module in (plain, decayed):
        _without_dropout(module)
    options = {"max_steps": 2, "max_epochs": -1}  # the learning rate of the first step is 0
    fit(RankSamplingCallback("dylora", "max_rank"), model=plain, **options)
    fit(RankSamplingCallback("dylora", "max_rank", ordered_decay=OrderedDecay(decoupled=0.3)), model=decayed, **options)
    for theirs, ours in zip(_pairs(plain), _pairs(decayed), strict=True):
        A, B = reference.decoupled_decay(theirs.lora_A.detach(), theirs.lora_B.detach(), 1e-3, 0.3, "linear")
        torch.testing.assert_close(ours.lora_A.detach(), A, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(ours.lora_B.detach(), B, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("by", ["svd", "two-sided", "learned"])
def test_the_sort_leaves_the_function_at_max_rank_the_moments_and_the_learning_rate(fit, make_module, monkeypatch, by):
    module = make_module()
    ids = torch.arange(5, 11)[None] + torch.arange(3)[:, None]
    found = {}

    def outputs():
        mode = module.training
        module.eval()
        with torch.no_grad(), use_rank(module.model, 4):
            logits = module.model(input_ids=ids).logits
        module.train(mode)
        return logits

    def state(trainer):
        moments = [s["exp_avg"].clone() for s in trainer.optimizers[0].state.values()]
        return outputs(), moments, [group["lr"] for group in trainer.optimizers[0].param_groups], torch.get_rng_state()

    def watched(trainer, *arguments):
        found["before"] = state(trainer), _trained(module)
        sort_in_training(trainer, *arguments)
        found["after"] = state(trainer), _trained(module)
        found["step"] = trainer.global_step

    monkeypatch.setattr("dylora.callbacks.rank_sampling.sort_in_training", watched)
    polish = SortAndPolish(sort_at=0.5, sort_by=by, examples=10)
    fit(RankSamplingCallback("dylora", polish=polish), model=module)
    assert found["step"] == 6
    (before, theirs), (after, ours) = found["before"], found["after"]
    assert (after[0] - before[0]).abs().max() < 1e-6
    assert all(torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    assert before[2] == after[2]
    assert torch.equal(before[3], after[3])
    assert any(not torch.allclose(ours[name], theirs[name]) for name in ours if "lora_A" in name)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if "lora_" not in name)
    assert [seen[0] if isinstance(seen[0], int) else "rows" for seen in module.seen] == [4] * 6 + ["rows"] * 6


@pytest.mark.parametrize("by", ["svd", "two-sided", "learned"])
def test_at_the_end_the_trained_lora_is_sorted_before_it_is_validated(fit, make_module, by):
    """Training is that of the LoRA to the bit; what is validated last, and kept, is its cut at every rank."""
    plain, ours, validated = make_module(), make_module(), []

    class Watch(Callback):
        def on_validation_start(self, trainer, pl_module):
            validated.append(_trained(pl_module))

    fit(StepSeed(3), RankSamplingCallback("lora"), model=plain)
    polish = SortAndPolish(sort_at=1, sort_by=by, examples=8)
    callback = RankSamplingCallback("lora", polish=polish)
    trainer = fit(StepSeed(3), Watch(), callback, model=ours, validate=True)
    assert [seen[0] for seen in ours.seen] == [4] * 12
    sort_in_training(trainer, plain, polish, callback.seed)
    expected = _trained(plain)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in validated[-1].items())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in _trained(ours).items())
    assert any(not torch.equal(tensor, expected[name]) for name, tensor in validated[0].items())


def test_statistics_that_do_not_fit_leave_the_sort_to_singular_values(fit, make_module, monkeypatch):
    """The default recipe must not end hours of training by running out of memory in its sort."""
    ours, plain = make_module(), make_module()
    monkeypatch.setattr("dylora.callbacks.sort_and_polish.MOST_BYTES", 0)
    fit(StepSeed(3), RankSamplingCallback("sorted", polish=SortAndPolish(sort_by="two-sided")), model=ours)
    fit(StepSeed(3), RankSamplingCallback("sorted", polish=SortAndPolish(sort_by="svd")), model=plain)
    expected = _trained(plain)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in _trained(ours).items())


def test_statistics_that_do_not_fit_leave_the_learned_order_to_begin_with_singular_values(
    fit, make_module, monkeypatch
):
    monkeypatch.setattr("dylora.callbacks.sort_and_polish.MOST_BYTES", 0)
    monkeypatch.setattr("dylora.callbacks.sort_and_polish.calibrate", None)
    ours, plain = make_module(), make_module()
    fit(StepSeed(3), RankSamplingCallback("sorted"), model=ours)
    fit(StepSeed(3), RankSamplingCallback("sorted", polish=SortAndPolish(sort_by="svd")), model=plain)
    for one, other in zip(_pairs(ours), _pairs(plain), strict=True):
        torch.testing.assert_close(one.lora_B @ one.lora_A, other.lora_B @ other.lora_A, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(one.lora_A, other.lora_A)


@pytest.mark.parametrize("name", ["calibrate", "learn_order"])
def test_out_of_memory_in_the_sort_does_not_lose_the_training(fit, make_module, monkeypatch, caplog, name):
    """At rest, a model whose activations are checkpointed in training needs more memory than it did."""

    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(f"dylora.callbacks.sort_and_polish.{name}", too_large)
    caplog.set_level("INFO")
    ours, plain = make_module(), make_module()
    fit(StepSeed(3), RankSamplingCallback("sorted"), model=ours)
    fit(StepSeed(3), RankSamplingCallback("lora"), model=plain)
    for one, other in zip(_pairs(ours), _pairs(plain), strict=True):
        torch.testing.assert_close(one.lora_B @ one.lora_A, other.lora_B @ other.lora_A, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(one.lora_A, other.lora_A)
    assert "Out of memory while the adapter is sorted: " in caplog.text


@pytest.mark.parametrize(("total", "steps"), [(10_000, 100), (40, 10), (3, 0), (math.inf, 100)])
def test_the_order_is_learned_on_a_quarter_of_the_steps_at_most(total, steps):
    assert order_steps(SortAndPolish(), total) == steps


def test_a_run_that_goes_on_behind_its_sort_trains_and_is_sorted_again(fit, make_module, tmp_path):
    module, again = make_module(), make_module()
    polish = SortAndPolish(sort_at=1, sort_by="svd")
    trainer = fit(RankSamplingCallback("lora", polish=polish), model=module, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    callback = RankSamplingCallback("lora", polish=polish)
    fit(callback, model=again, max_epochs=2, ckpt_path=tmp_path / "one.ckpt")
    assert [seen[0] for seen in again.seen] == [4] * 6
    assert callback.state_dict() == {"sorted_step": 12}
    for pair in _pairs(again):
        gram = (pair.lora_B.T @ pair.lora_B).detach()
        assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-6 * float(gram.max()) + 1e-12)


def test_a_pair_that_is_still_zero_is_not_sorted_to_death(fit, make_module):
    module = make_module()
    fit(
        RankSamplingCallback("dylora", polish=SortAndPolish(sort_at=0.01, sort_by="svd")), model=module
    )  # after a step of rate 0
    assert all(pair.lora_A.any() and pair.lora_B.any() for pair in _pairs(module))


@pytest.mark.parametrize(("share", "total", "step"), [(0.8, 10, 8), (0.29, 100, 29), (0.999, 10, 9), (0.01, 10, 1)])
def test_the_sort_is_at_its_share_of_the_steps_never_first_and_never_behind_the_last(share, total, step):
    assert SortAndPolish(sort_at=share).step(total) == step


def test_compensation_lengthens_the_steps_of_rows_by_one_over_their_share(fit, make_module):
    plain, scaled = make_module(), make_module()
    for module in (plain, scaled):
        _without_dropout(module)
    start = [(p.lora_A.detach().clone(), p.lora_B.detach().clone()) for p in _pairs(plain)]
    law = {"distribution": "weights", "weights": [2, 1, 1, 0], "objective": "summation"}
    options = {"max_steps": 2, "max_epochs": -1}
    fit(RankSamplingCallback("dylora", **law), model=plain, **options)
    fit(RankSamplingCallback("dylora", **law, compensation=3.0), model=scaled, **options)
    factors = torch.tensor([1.0, 2.0, 3.0, 3.0])  # 1 / 1, 1 / 0.5, the cap for 1 / 0.25 and 1 / 0
    for theirs, ours, (A, B) in zip(_pairs(plain), _pairs(scaled), start, strict=True):
        expected = A + factors[:, None] * (theirs.lora_A.detach() - A)
        torch.testing.assert_close(ours.lora_A.detach(), expected, rtol=1e-5, atol=1e-7)
        expected = B + factors * (theirs.lora_B.detach() - B)
        torch.testing.assert_close(ours.lora_B.detach(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("recipe", ["ordered_decay", "distillation", "compensation"])
def test_with_row_exact_steps_rows_that_were_never_trained_keep_their_bits(fit, make_module, recipe):
    options = {**RECIPES[recipe], "distribution": "weights", "weights": [1, 1, 0, 0]}
    module = make_module(optimizer="row_exact_adamw")
    before = [p.lora_A.detach().clone() for p in _pairs(module)]
    fit(RankSamplingCallback("dylora", **options), model=module)
    for pair, A in zip(_pairs(module), before, strict=True):
        assert torch.equal(pair.lora_A[2:], A[2:])
        assert not torch.equal(pair.lora_A[:2], A[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "mixed", "frozen": True}, "frozen: must be false with a rank for each row, a sort or compens"),
        ({"compensation": 2.0, "frozen": True}, "frozen: must be false with a rank for each row, a sort or compensat"),
        ({"compensation": 0.5}, "compensation: must be from 1 to 1000, got 0.5"),
        ({"objective": "mixed", "polish": SortAndPolish(0.5)}, "objective: must be left out with polish.sort_at"),
        ({"objective": "summation", "distillation": Distillation(0.5)}, "distillation.weight: must be 0 with summatio"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(InputError, match=message):
        RankSamplingCallback("dylora", **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OrderedDecay(in_loss=-1), "in_loss: must be 0 or more, got -1"),
        (lambda: OrderedDecay(decoupled=math.inf), "decoupled: must be 0 or more, got inf"),
        (lambda: OrderedDecay(shape="cubic"), "shape: must be one of linear, sqrt, log, quadratic"),
        (lambda: SortAndPolish(sort_at=1.1), "sort_at: must be above 0 and at most 1, got 1.1"),
        (lambda: SortAndPolish(order_steps=0), "order_steps: must be 1 or more, got 0"),
        (lambda: SortAndPolish(sort_by="prefix"), "sort_by: must be one of learned, two-sided, svd"),
        (lambda: SortAndPolish(examples=0), "examples: must be 1 or more, got 0"),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (
            RECIPES["mixed"],
            {"optimizer": "row_exact_adamw"},
            "model.optimizer: must be adamw, got row_exact_adamw with",
        ),
        (RECIPES["sorted_after"], {"optimizer": "row_exact_adamw"}, "model.optimizer: must be adamw, got row_exact_"),
        (
            RECIPES["sorted_after"],
            {"adapter": DyLoRAConfig(max_rank=4, scaling="alpha/b")},
            "model.adapter.scaling: must be alpha/max_rank with polish.sort_at, got alpha/b",
        ),
        (
            RECIPES["ordered_decay"],
            {"method": FullFineTuning()},
            "rank_sampling.ordered_decay: must be left out for a model without adapters, got on with method full",
        ),
        (RECIPES["distillation"], {"task": "stsb"}, "rank_sampling.distillation.loss: must be mse for a regression"),
    ],
)
def test_a_module_that_cannot_be_trained_so_is_refused_before_training(fit, make_module, options, changes, message):
    module = make_module(**changes)
    with pytest.raises(InputError, match=message):
        fit(RankSamplingCallback("dylora", **options), model=module)
    assert module.seen == []


def test_epochs_before_a_sort_are_not_compared_by_the_largest_rank_alone(fit, make_module):
    with pytest.raises(InputError, match=r"model\.epoch_ranks: .* add a lower one, as 1,4"):
        fit(RankSamplingCallback("sorted"), model=make_module(epoch_ranks=4))
    fit(RankSamplingCallback("lora"), model=make_module(epoch_ranks=4), max_steps=1)


def test_without_a_length_of_the_data_two_sided_is_refused(fit, make_module, loader):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(loader.dataset)

    stream = torch.utils.data.DataLoader(Stream(), batch_size=4)
    options = {"train_loader": stream, "max_steps": 6, "max_epochs": -1}
    with pytest.raises(InputError, match=r"polish\.sort_by: must be svd for training data without a length"):
        fit(RankSamplingCallback("dylora", polish=SortAndPolish(0.5)), model=make_module(), **options)


def _in_processes(backbone, number, recipe, path):
    """The ranks of each step's rows in the order of the global batch, and what was trained."""
    command = [sys.executable, TWO_PROCESSES, backbone, str(number), recipe, str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=path.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = sorted(re.findall(r"^(\d+) (\d) \[(.*)\]$", done.stdout, re.MULTILINE))
    steps = {}
    for step, _, ranks in lines:
        steps.setdefault(int(step), []).append([int(rank) for rank in ranks.split(", ")])
    return {
        step: [rank for turn in zip(*by_process, strict=True) for rank in turn] for step, by_process in steps.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "tolerance"), [("mixed", 1e-6), ("polish", 5e-4)])  # the sort enlarges rounding
def test_two_processes_draw_the_ranks_of_one_and_end_with_its_weights(backbone, tmp_path, recipe, tolerance):
    ranks = [_in_processes(backbone, number, recipe, tmp_path / f"{number}.pt") for number in (1, 2)]
    assert ranks[0] == ranks[1]
    assert len(ranks[0]) == 6
    assert any(len(set(of_step)) > 1 for of_step in ranks[0].values())
    one, two = (torch.load(tmp_path / f"{number}.pt") for number in (1, 2))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=tolerance)
