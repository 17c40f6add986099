"""What PEFT calls the parts of an adapted model: its target modules, the modules it saves whole, its task."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from dylora.adapters.layers import AdaptedLayer
from dylora.errors import InputError

_TASK_TYPES = {  # how a class of transformers ends, and PEFT's name of its task
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
    "ForConditionalGeneration": "SEQ_2_SEQ_LM",
}


def shortest_names(model: nn.Module, names: Sequence[str]) -> list[str]:
    """The last parts of the names where they match nothing else, as PEFT matches them; else the whole names."""
    short = sorted({name.rpartition(".")[2] for name in names})
    inside = tuple(f"{name}." for name in names)
    outer = (name for name, _ in model.named_modules() if not name.startswith(inside))
    matched = {name for name in outer if name.rpartition(".")[2] in short}
    return short if matched == set(names) else sorted(names)


def head_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The largest modules all of whose parameters were trained beside the adapters, by name."""
    return dict(_trained_below(model, ""))


def _trained_below(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    if own := [name for name, p in module.named_parameters(recurse=False) if p.requires_grad]:
        given = f"{prefix}{own[0]}, beside frozen ones"
        fix = "export it merged"
        raise InputError("--format peft", "of trained parameters in modules of their own", given, fix)
    for name, child in module.named_children():
        trained = [parameter.requires_grad for parameter in child.parameters()]
        if isinstance(child, AdaptedLayer) or not any(trained):
            continue
        if all(trained) and not isinstance(child, (nn.ModuleList, nn.ModuleDict)):  # PEFT refuses these two
            yield f"{prefix}{name}", child
        else:
            yield from _trained_below(child, f"{prefix}{name}.")


def task_of(model: nn.Module) -> dict[str, Any]:
    """PEFT's name of the task; for others the class, by which it is found."""
    is_encoder_decoder = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    kinds = [kind for kind in type(model).__mro__ if kind.__module__.startswith("transformers.")] or [type(model)]
    for ending, task in _TASK_TYPES.items():
        if kinds[0].__name__.endswith(ending):
            is_causal = task == "SEQ_2_SEQ_LM" and not is_encoder_decoder  # a vision-language model
            return {"task_type": "CAUSAL_LM" if is_causal else task, "auto_mapping": None}
    library = kinds[0].__module__
    return {"task_type": None, "auto_mapping": {"base_model_class": kinds[0].__name__, "parent_library": library}}
