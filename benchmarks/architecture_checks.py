"""What an adapted model is put through, one check a column of the table of architectures."""

import copy
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from literal_model import Columns, Factors, literal_model, peft_model, scale
from tiny_models import one_line
from torch import Tensor, nn
from transformers import PreTrainedModel

from dylora.adapters.active_rank import set_rank, use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.functional import SCALINGS
from dylora.adapters.merging import merge, unload, unmerge
from dylora.adapters.rank_per_row import check_rank_per_row
from dylora.decoding import DecodingConfig, generate_at_ranks
from dylora.errors import InputError

MAX_RANK, ALPHA, ROWS = 4, 8.0, 3
RANKS = range(1, MAX_RANK + 1)
TOLERANCE, LEAST_EFFECT = 1e-4, 1e-2
OK, ONE_BY_ONE, NONE = "ok", "one by one", "-"


class WrongError(Exception):
    """A result that is not what it has to be, without an error."""


@dataclass
class Case:
    """One model type, plain and adapted."""

    base: PreTrainedModel
    model: PreTrainedModel
    inputs: dict[str, Tensor]
    factors: list[Factors]
    columns: dict[str, Columns]
    outputs: dict[int, dict[str, Tensor]]  # of the adapted model, at each rank alone

    def literal(self, rank: int, scaling: str = "alpha/b") -> PreTrainedModel:
        """The plain model with the weights of that rank."""
        return literal_model(self.base, self.factors, self.columns, rank, scale(scaling, ALPHA, rank, MAX_RANK))


def outcome(check: Callable[[Case], str], case: Case, show: bool) -> str:
    """What a check says, or how it failed."""
    try:
        return check(case)
    except InputError as refusal:
        return f"refused: {refusal}"
    except WrongError as wrong:
        return f"wrong: {wrong}"
    except Exception as error:
        if show:
            traceback.print_exc()
        return f"error: {one_line(error)}"


def adapted(base: PreTrainedModel, scaling: Any = "alpha/b") -> PreTrainedModel:  # noqa: ANN401
    """The model with default targets and random factors; the same ones at every call."""
    model = adapt(copy.deepcopy(base), DyLoRAConfig(MAX_RANK, alpha=ALPHA, scaling=scaling)).eval()
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            width = parameter.shape[1] if "lora_A" in name else MAX_RANK
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5 / width**0.5
    return model


def at_every_rank(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The outputs at each rank alone."""
    found = {}
    for rank in RANKS:
        with use_rank(model, rank):
            found[rank] = values(model, inputs)
    return found


def equals_the_literal_model(case: Case) -> str:
    """At every rank, with every scaling."""
    plain = values(case.base, case.inputs)
    for scaling in SCALINGS:
        for rank, found in at_every_rank(adapted(case.base, scaling), case.inputs).items():
            compare(found, values(case.literal(rank, scaling), case.inputs), f"rank {rank}, {scaling}")
    if distance(case.outputs[MAX_RANK], plain) < LEAST_EFFECT:
        raise WrongError(f"the adapters change the outputs by {distance(case.outputs[MAX_RANK], plain):.0e} only")
    return OK


def mixed_ranks(case: Case) -> str:
    """A rank for each row of a batch, against one rank at a time."""
    stacked = repeat(case.inputs, MAX_RANK)
    if not check_rank_per_row(case.model, stacked):
        return ONE_BY_ONE
    with use_rank(case.model, torch.tensor(RANKS).repeat_interleave(ROWS)):
        together = values(case.model, stacked)
    for place, rank in enumerate(RANKS):
        rows = slice(place * ROWS, (place + 1) * ROWS)
        part = {name: value[rows] for name, value in together.items() if name in by_row(case)}
        compare(part, {name: case.outputs[rank][name] for name in part}, f"rank {rank} of mixed rows")
    return OK


def summation_loss(case: Case) -> str:
    """The weighted sum over the ranks, as one stacked batch, with its gradients, against one rank after the other."""
    weights = torch.linspace(1, 2, MAX_RANK)
    name = next(iter(by_row(case)))
    direction = torch.randn(case.outputs[1][name].shape)

    def loss(found: Tensor) -> Tensor:
        return (found * direction).mean()

    case.model.zero_grad()
    single = []
    for rank, weight in zip(RANKS, weights, strict=True):
        set_rank(case.model, rank)
        single.append(weight * loss(case.model(**case.inputs)[name]))
        single[-1].backward()
    expected = gradients(case.model)
    if mixed_ranks(case) != OK:
        return ONE_BY_ONE
    case.model.zero_grad()
    set_rank(case.model, torch.tensor(RANKS).repeat_interleave(ROWS))
    found = case.model(**repeat(case.inputs, MAX_RANK))[name].chunk(MAX_RANK)
    total = sum(weight * loss(part) for weight, part in zip(weights, found, strict=True))
    total.backward()
    set_rank(case.model, MAX_RANK)
    compare({"loss": total.detach()}, {"loss": sum(single).detach()}, "loss")
    compare(gradients(case.model), expected, "gradient", together=True)
    return OK


def generation(num_beams: int) -> Callable[[Case], str]:
    """Texts at all ranks in one call against one rank a call, and against the literal model."""

    def check(case: Case) -> str:
        config = case.base.config
        if not case.base.can_generate() or case.base.main_input_name != "input_ids":
            return NONE
        ids = case.inputs["input_ids"][:, :-1]  # without the end token
        decoding = DecodingConfig(num_beams=num_beams, max_new_tokens=4)
        rest: Any = (decoding, [2], getattr(config, "pad_token_id", None) or 0)
        together = generate_at_ranks(case.model, ids, torch.ones_like(ids), list(RANKS), *rest)
        for rank, texts in zip(RANKS, together, strict=True):
            if generate_at_ranks(case.model, ids, torch.ones_like(ids), [rank], *rest)[0] != texts:
                raise WrongError(f"rank {rank} writes other texts alone")
        literal = adapt(case.literal(MAX_RANK), DyLoRAConfig(1)).eval()  # lora_B is zero: nothing is added
        if generate_at_ranks(literal, ids, torch.ones_like(ids), [1], *rest)[0] != together[-1]:
            raise WrongError("the literal model writes other texts")
        return OK

    return check


def merging(case: Case) -> str:
    """The merged model computes what the adapted one does, and unmerging restores every bit."""
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    for rank in RANKS:
        merge(case.model, rank)
        found = values(case.model, case.inputs)
        unmerge(case.model)
        compare(found, case.outputs[rank], f"merged at rank {rank}")
    if any(not torch.equal(value, before[name]) for name, value in case.model.state_dict().items()):
        raise WrongError("unmerging does not restore the weights")
    return OK


def saving(case: Case) -> str:
    """Without adapters it is a plain model of its class, whose files transformers reads, with bit-equal outputs."""
    plain = unload(copy.deepcopy(case.model), 2)
    if type(plain) is not type(case.base) or plain.state_dict().keys() != case.base.state_dict().keys():
        raise WrongError("what is left is no plain model")
    found = values(plain, case.inputs)
    compare(found, case.outputs[2], "unloaded")
    if distance(values(reloaded(plain), case.inputs), found) == 0:
        return OK
    if distance(values(reloaded(case.base), case.inputs), values(case.base, case.inputs)) > 0:
        return f"{NONE}: transformers reloads this model with other outputs before it is adapted, too"
    raise WrongError("the file reloads with other outputs")


def reloaded(model: PreTrainedModel) -> PreTrainedModel:
    """The model out of its own files."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again: PreTrainedModel = type(model).from_pretrained(folder)
    return again.eval()


def equals_peft(case: Case) -> str:
    """PEFT's LoRA of rank b with the same factors."""
    for rank in (1, MAX_RANK - 1):
        model = peft_model(case.base, case.factors, case.columns, rank, scale("alpha/b", ALPHA, rank, MAX_RANK))
        compare(values(model, case.inputs), case.outputs[rank], f"PEFT at rank {rank}")
    return OK


CHECKS: dict[str, Callable[[Case], str]] = {
    "literal": equals_the_literal_model,
    "mixed ranks": mixed_ranks,
    "summation": summation_loss,
    "greedy": generation(1),
    "beams": generation(3),
    "merge": merging,
    "save, reload": saving,
    "PEFT": equals_peft,
}


@torch.no_grad()
def values(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The floating-point outputs of a model, by name."""
    torch.manual_seed(0)  # some models draw random numbers in their forward
    outputs = model(**inputs)
    return {name: value for name, value in outputs.items() if torch.is_tensor(value) and value.is_floating_point()}


def by_row(case: Case) -> dict[str, Tensor]:
    """The outputs that have one entry for each row; CLIP's scores of every row with every other are none."""
    return {name: v for name, v in case.outputs[1].items() if v.dim() and len(v) == ROWS and "logits_per" not in name}


def repeat(inputs: Mapping[str, Tensor], times: int) -> dict[str, Tensor]:
    """The batch once for each rank."""
    return {name: value.repeat(times, *[1] * (value.dim() - 1)) for name, value in inputs.items()}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """The gradients of the factors."""
    named = [(name, p.grad) for name, p in model.named_parameters() if "lora_" in name]
    return {name: gradient.clone() for name, gradient in named if gradient is not None}


def compare(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str, together: bool = False) -> None:
    """Complain unless all are equal, each measured by its own size or all by the largest."""
    if found.keys() != expected.keys():
        raise WrongError(f"{what}: other outputs")
    size = max(finite(value) for value in expected.values()) if together else None
    if (off := distance(found, expected, size)) > TOLERANCE:
        raise WrongError(f"{what}: off by {off:.0e} of the largest output")


def distance(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], size: float | None = None) -> float:
    """The largest difference of any output, as a share of its largest value."""
    apart = []
    for name, value in expected.items():
        other = found[name]
        same = (other == value) | (other.isnan() & value.isnan())  # minus infinity where a value is masked
        difference = torch.where(same, torch.zeros_like(value), (other - value).abs())
        apart.append(float(difference.max()) / (size or finite(value) or 1.0) if value.numel() else 0.0)
    return max(apart)


def finite(value: Tensor) -> float:
    """The largest finite absolute value."""
    kept = value[value.isfinite() & (value.abs() < 1e30)]
    return float(kept.abs().max()) if kept.numel() else 0.0
