"""Every kind of model that transformers builds here, through everything that adapters do to it.

    python benchmarks/architectures.py --output docs/architectures.md

Tiny models with random weights and random factors, in fp32 on the CPU. Two outputs are equal where they differ by at
most 1e-4 of the largest output; the adapters themselves have to change the outputs by 100 times as much.
"""

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import peft
import torch
import transformers
from architecture_checks import CHECKS, NONE, OK, ONE_BY_ONE, ROWS, Case, adapted, at_every_rank, outcome, values
from literal_model import columns_of_fused, factors_of
from tiny_models import NotTinyError, class_for, one_line, tiny_config, tiny_inputs, tiny_model
from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto as auto

from dylora.errors import InputError

SLOWEST = 1.0  # seconds of a forward
QUICK = ("bert", "deberta-v2", "longformer", "modernbert", "gpt2", "falcon", "llama", "t5", "vit", "clip", "wav2vec2")
QUICK += ("whisper",)
UNUSABLE = {"mra": "its attention gives zeros without its CUDA kernel"}


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
