"""The lines of Python that load an exported folder, for its card."""

import torch
from transformers import PreTrainedModel

from dylora.adapters.peft_modules import task_of

_AUTO = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
}


def merged_lines(model: PreTrainedModel, place: str) -> str:
    """Load a plain folder of transformers.

    Args:
        model: The model that was exported, or one of its class.
        place: The folder, or its name on the hub.
    """
    kind = class_name(model)
    return f'from transformers import {kind}\n\nmodel = {kind}.from_pretrained("{place}")'


def peft_lines(model: PreTrainedModel, place: str, backbone: str, has_head: bool, gguf_file: str | None = None) -> str:
    """Load a folder of PEFT on its backbone; with a head, the folder has the configuration that says how wide it is.

    Args:
        model: The model that was exported.
        place: The folder, or its name on the hub.
        backbone: Where the backbone is found.
        has_head: Whether a task head goes with the adapter.
        gguf_file: The file in the backbone's place that holds its weights, where they are in one of GGUF.
    """
    kind = class_name(model)
    names, config = "", ""
    if has_head:  # of the backbone a head of another width may be there, which the adapter's replaces
        names, config = "AutoConfig, ", f', config=AutoConfig.from_pretrained("{place}"), ignore_mismatched_sizes=True'
    config += f', gguf_file="{gguf_file}"' if gguf_file else ""
    config += ', dtype="bfloat16"' if model.dtype == torch.bfloat16 else ""  # as it was trained
    return (
        f"from peft import PeftModel\nfrom transformers import {names}{kind}\n\n"
        f'base = {kind}.from_pretrained("{backbone}"{config})\n'
        f'model = PeftModel.from_pretrained(base, "{place}")'
    )


def dylora_lines(place: str, rank: int) -> str:
    """Load a folder of dylora at a rank.

    Args:
        place: The folder, or its name on the hub.
        rank: A rank of its range.
    """
    return f'import dylora\n\nmodel = dylora.load("{place}", rank={rank})'


def class_name(model: PreTrainedModel) -> str:
    """The class of transformers that loads models of this kind, by its name."""
    return _AUTO.get(task_of(model)["task_type"], type(model).__name__)
