"""Every kind of model that transformers builds here, through everything that adapters do to it.

    python benchmarks/architectures.py --output docs/architectures.md

Tiny models with random weights and random factors, in fp32 on the CPU. Two outputs are equal where they differ by at
most 1e-4 of the largest output; the adapters themselves have to change the outputs by 100 times as much.
"""

import argparse
import copy
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from literal_model import Columns, Factors, columns_of_fused, factors_of, literal_model, peft_model, scale
from tiny_models import NotTinyError, class_for, one_line, tiny_config, tiny_inputs, tiny_model
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto as auto

from dylora.adapters.active_rank import set_rank, use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.functional import SCALINGS
from dylora.adapters.merging import merge, unload, unmerge
from dylora.adapters.rank_per_row import check_rank_per_row
from dylora.decoding import DecodingConfig, generate_at_ranks
from dylora.errors import InputError

MAX_RANK, ALPHA, ROWS, SLOWEST = 4, 8.0, 3, 1.0
RANKS = range(1, MAX_RANK + 1)
TOLERANCE, LEAST_EFFECT = 1e-4, 1e-2
QUICK = ("bert", "deberta-v2", "longformer", "modernbert", "gpt2", "falcon", "llama", "t5", "vit", "clip", "wav2vec2")
QUICK += ("whisper",)
UNUSABLE = {"mra": "its attention gives zeros without its CUDA kernel"}
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


def main() -> None:
    """Parse the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--only", nargs="+", metavar="TYPE", help="only these model types, with tracebacks of errors")
    parser.add_argument("--output", type=Path, help="the Markdown file to write; left out, the table is printed")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    begin = time.monotonic()
    results: dict[str, dict[str, str]] = {}
    left_out: dict[str, str] = {}
    for model_type, kind in chosen(arguments.only or (QUICK if arguments.quick else ())):
        try:
            results[model_type] = row(model_type, kind, bool(arguments.only))
        except NotTinyError as reason:
            left_out[model_type] = str(reason)
        print(model_type, *results.get(model_type, {"": left_out.get(model_type)}).values(), sep=" | ", flush=True)
    text = report(results, left_out, time.monotonic() - begin)
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text)
    print("wrong:", sum(cell.startswith("wrong") for cells in results.values() for cell in cells.values()))


def chosen(names: Sequence[str]) -> list[tuple[str, type[PreTrainedModel]]]:
    """The model types with the class of each: its language model, else its classifier, else its backbone."""
    every = {t: kind for t in sorted(auto.MODEL_MAPPING_NAMES) if (kind := class_of(t)) is not None}
    if unknown := set(names) - every.keys():
        sys.exit(f"no such model types: {', '.join(sorted(unknown))}")
    return [(model_type, every[model_type]) for model_type in names or every]


def class_of(model_type: str) -> type[PreTrainedModel] | None:
    """The class that a model type is tried with; None for kinds of models that are not tried."""
    is_encoder = model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    order = [
        auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
        auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        *([auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES] if is_encoder else []),
        auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING_NAMES,
        auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    ]
    for names in order:
        if model_type in names:
            return class_for(names, model_type)
    return None


def row(model_type: str, kind: type[PreTrainedModel], show: bool) -> dict[str, str]:
    """The cells of one model type."""
    if model_type in UNUSABLE:
        raise NotTinyError(UNUSABLE[model_type])
    torch.manual_seed(0)
    base = tiny_model(kind, tiny_config(model_type))
    try:
        inputs = tiny_inputs(base, ROWS)
        values(base, inputs)
        begin = time.monotonic()
        values(base, inputs)
        seconds = time.monotonic() - begin
    except Exception as error:
        raise NotTinyError(f"does not run: {one_line(error)}") from error
    if seconds > SLOWEST:
        raise NotTinyError(f"{seconds:.1f} s a forward")
    cells = {"class": kind.__name__}
    try:
        model = adapted(base)
        factors = factors_of(model)
        columns = columns_of_fused(base, factors, {name: value[:1] for name, value in inputs.items()})
        case = Case(base, model, inputs, factors, columns, at_every_rank(model, inputs))
    except InputError as refusal:
        return cells | {"adapt": f"refused: {refusal}"}
    except Exception as error:
        if show:
            traceback.print_exc()
        return cells | {"adapt": f"error: {one_line(error)}"}
    for name, check in CHECKS.items():
        cells[name] = outcome(check, case, show)
    return cells


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
    with tempfile.TemporaryDirectory() as folder:
        plain.save_pretrained(folder)
        again = type(case.base).from_pretrained(folder).eval()
    if distance(values(again, case.inputs), found) > 0:
        raise WrongError("the file reloads with other outputs")
    return OK


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


def report(results: Mapping[str, Mapping[str, str]], left_out: Mapping[str, str], seconds: float) -> str:
    """The Markdown page: totals, the table, the reasons."""
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (transformers, peft, torch))
    tried = [cells for cells in results.values() if "adapt" not in cells]
    lines = [
        "# Architectures",
        "",
        f"{len(results)} model types, {len(tried)} of them adapted by default targets, "
        f"{len(results) - len(tried)} without any (refused, with the reason below).",
        "",
        "`python benchmarks/architectures.py --output docs/architectures.md`: "
        f"{versions}, {seconds / 60:.0f} minutes on one core.",
        "",
        *(__doc__ or "").strip().split("\n\n")[2:],
        "",
        *EXPLANATION,
        "",
        "| | " + " | ".join(CHECKS) + " |",
        "|---" * (len(CHECKS) + 1) + "|",
    ]
    for verdict in (OK, ONE_BY_ONE, NONE, "refused", "wrong", "error"):
        counts = [sum(cells[name].startswith(verdict) for cells in tried) for name in CHECKS]
        lines.append(f"| **{verdict}** | " + " | ".join(map(str, counts)) + " |")
    reasons: list[str] = []
    lines += ["", "| model type | class | " + " | ".join(CHECKS) + " |", "|---" * (len(CHECKS) + 2) + "|"]
    for model_type, cells in results.items():
        shown = [cells.get(name) or (cells.get("adapt", "") if name == "literal" else "") for name in CHECKS]
        lines.append(f"| {model_type} | {cells['class']} | " + " | ".join(noted(c, reasons) for c in shown) + " |")
    lines += ["", *(f"{place}. {reason}" for place, reason in enumerate(reasons, 1))]
    lines += ["", "Not tried, as no tiny model of it could be built or run here: " + listed(left_out) + "."]
    return "\n".join(lines) + "\n"


EXPLANATION = (
    "- **literal**: at every rank 1 to 4, with each of the three scalings, the outputs are those of the plain model",
    "  with the weights `W + s(b) B[:, :b] A[:b]`, in a fused projection in its query and value columns alone.",
    "- **mixed ranks**: rows of one batch at ranks of their own equal one rank at a time; *one by one*: this model",
    "  does not keep its rows apart, which is noticed, and ranks run one after the other.",
    "- **summation**: the weighted loss over all ranks and its gradients equal the sum of single losses.",
    "- **greedy**, **beams**: texts at all ranks in one call equal one call a rank; at rank 4 the literal model's too.",
    "- **merge**, **save, reload**: the merged model equals the adapted one, `unmerge` restores every bit; `unload`",
    "  leaves a plain model whose files `from_pretrained` reads, with bit-equal outputs.",
    "- **PEFT**: PEFT's LoRA at ranks 1 and 3 with the same factors gives the same outputs.",
)


def noted(cell: str, reasons: list[str]) -> str:
    """A cell with the number of its reason, which is added to the reasons."""
    verdict, colon, reason = cell.partition(": ")
    if not colon:
        return cell
    if reason not in reasons:
        reasons.append(reason)
    return f"{verdict} ({reasons.index(reason) + 1})"


def listed(left_out: Mapping[str, str]) -> str:
    """The model types that were not tried, the commonest reason first."""
    kinds = Counter(reason.partition(":")[0] for reason in left_out.values())
    names = sorted(left_out, key=lambda name: (-kinds[left_out[name].partition(":")[0]], name))
    return ", ".join(names) or "none"


if __name__ == "__main__":
    main()
