"""A PEFT folder made into a folder of dylora, which works at every rank."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from dylora.adapters.elastic import adapt_from_peft
from dylora.adapters.export import PeftAdapter
from dylora.adapters.learned_order import STEPS
from dylora.adapters.peft_lora import lora_pairs
from dylora.adapters.sensitivity import Batch
from dylora.backbones.architecture import architecture_of
from dylora.backbones.load import load_classifier, load_generator, load_image_classifier
from dylora.backbones.processors import processor_for
from dylora.backbones.tokenizers import tokenizer_for
from dylora.deploy.calibration import Examples, examples_of_batches, examples_of_texts
from dylora.deploy.peft_folder import read_peft
from dylora.deploy.save import save
from dylora.errors import InputError


def convert(
    peft: Path,
    output: Path,
    backbone: str | None = None,
    texts: Path | None = None,
    batches: Iterable[Batch] | None = None,
    order_steps: int = STEPS,
) -> PreTrainedModel:
    """Write a LoRA of PEFT as a folder of dylora, sorted so that every rank from 1 up is the best part of it.

    With examples the two-sided cut sorts, and from there the order is learned: the lower ranks are trained to say what
    the whole LoRA says, which itself stays as it is. Without, singular values sort.

    Args:
        peft: A folder that PEFT's `save_pretrained` wrote.
        output: An empty folder to write into.
        backbone: Where the base model is; what the PEFT folder says, if left out.
        texts: A file with a training text in each line.
        batches: Training batches in the place of a file, as the data modules here make them.
        order_steps: Number of batches that the order is learned on; at 0 it is that of the two-sided cut.

    Returns:
        The adapted model.

    Raises:
        InputError: If a file is missing or damaged, the LoRA is of an unsupported variant or of another base model.
    """
    adapter = read_peft(peft)
    _, others = lora_pairs(adapter)  # refuses a variant before a large base model is loaded
    name = backbone or base_model_name(adapter)
    model = _base_model(adapter, name, others)
    preprocessor = _preprocessor(model, name)
    examples: Examples | None = None
    if texts is not None:
        examples = examples_of_texts(model, preprocessor, texts)
    elif batches is not None:
        examples = examples_of_batches(model, batches)
    adapt_from_peft(model, adapter, examples.sensitivities if examples else None)
    if examples and order_steps:
        examples.learn_order_(model, order_steps)
    save(model, output, backbone=name, preprocessor=preprocessor, labels=_labels(peft))
    return model


def base_model_name(adapter: PeftAdapter) -> str:
    """The base model that a LoRA names.

    Raises:
        InputError: If it names none.
    """
    name: str | None = adapter.config.get("base_model_name_or_path")
    if not name:
        fix = "give --backbone NAME"
        raise InputError("PEFT_DIR", "one that names its base model", "none in its adapter_config.json", fix)
    return name


def _preprocessor(model: PreTrainedModel, name: str) -> Any:  # noqa: ANN401 (a tokenizer or an image processor)
    if model.main_input_name == "pixel_values":
        return processor_for(name)
    tokenizer = tokenizer_for(name)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer


def _base_model(adapter: PeftAdapter, name: str, others: dict[str, Tensor]) -> PreTrainedModel:
    task = adapter.config.get("task_type")
    if task == "SEQ_CLS":
        return load_classifier(name, _head_width(others))[0]
    if task in ("CAUSAL_LM", "SEQ_2_SEQ_LM"):
        return load_generator(name)
    if task is None and architecture_of(name).is_of_images:
        return load_image_classifier(name, _head_width(others))[0]
    allowed = "of task_type SEQ_CLS, CAUSAL_LM or SEQ_2_SEQ_LM, or without one of a model of images"
    fix = "in Python, adapt_from_peft (dylora.adapters.elastic) takes a model of any kind"
    raise InputError("PEFT_DIR", allowed, task or "none", fix)


def _head_width(others: dict[str, Tensor]) -> int:
    """The outputs of the head: the narrowest of its layers."""
    widths = [len(tensor) for tensor in others.values() if tensor.dim() == 2]
    if not widths:
        allowed = "a classifier with its head (modules_to_save)"
        raise InputError("PEFT_DIR", allowed, "one without", "save it with its head, as PEFT does for SEQ_CLS")
    return min(widths)


def _labels(peft: Path) -> list[str]:
    """The names of the classes, where the folder has a model's configuration too."""
    try:
        found: dict[str, Any] = json.loads((peft / "config.json").read_text(encoding="utf-8")).get("id2label") or {}
    except (OSError, ValueError):
        return []
    return [str(found[key]) for key in sorted(found, key=int)]
