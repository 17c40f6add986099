"""The task head: all that is at random values and counts is trained, and nothing that no output depends on."""

import pytest
import torch
from tiny_models import NotTinyError, class_for, tiny_config, tiny_inputs, tiny_model
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    CLIPModel,
    GPT2DoubleHeadsModel,
    OpenAIGPTDoubleHeadsModel,
    PerceiverForSequenceClassification,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
)
from transformers.models.auto import modeling_auto as auto

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.head import task_head, unread_pooler
from dylora.errors import InputError

_OUTPUTS = ("logits", "start_logits", "end_logits", "start_top_log_probs", "end_top_log_probs", "cls_logits")


def head_names(model):
    head = {id(parameter) for parameter in task_head(model)}
    return {name for name, parameter in model.named_parameters() if id(parameter) in head}


def reached(model, inputs):
    """Names of the parameters that the outputs depend on: those with a gradient after one backward pass."""
    outputs = model(**inputs)
    values = [outputs[name] for name in _OUTPUTS if torch.is_tensor(outputs.get(name))]
    sum((value.clamp(-1e4, 1e4) * torch.randn_like(value)).sum() for value in values).backward()
    return {name for name, parameter in model.named_parameters() if parameter.grad is not None}


def missing_after_pretraining(kind, config, folder):
    """What `from_pretrained` of the bare backbone's weights leaves at random values; transformers itself says so."""
    class_for(auto.MODEL_MAPPING_NAMES, config.model_type)(config).save_pretrained(folder)
    model, info = kind.from_pretrained(folder, config=config, output_loading_info=True)
    return {name for name in info["missing_keys"] if name in dict(model.named_parameters())}


def faults(mapping, model_type, labels, folder):
    """What is wrong with the head of one class; None if it cannot be built or run here."""
    torch.manual_seed(0)
    kind = class_for(mapping, model_type)
    try:
        config = tiny_config(model_type, num_labels=labels)
        model = tiny_model(kind, config)
    except NotTinyError:
        return None
    try:
        on = reached(model, tiny_inputs(model))
    except (TypeError, ValueError, AttributeError, RuntimeError, IndexError, AssertionError):  # needs other inputs
        return None
    head = head_names(model)
    random = missing_after_pretraining(kind, config, folder)
    found = [f"{model_type}: {name} is trained and gets no gradient" for name in sorted(head - on)]
    return found + [f"{model_type}: {name} is random, counts and is frozen" for name in sorted(random & on - head)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "labels", "at_least"),
    [
        ("SEQUENCE_CLASSIFICATION", 3, 100),
        ("TOKEN_CLASSIFICATION", 3, 80),
        ("QUESTION_ANSWERING", 2, 60),
        ("MULTIPLE_CHOICE", 3, 30),
        ("IMAGE_CLASSIFICATION", 3, 18),
        ("AUDIO_CLASSIFICATION", 3, 10),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_every_head_is_trained_where_it_counts_and_nowhere_else(task, labels, at_least, tmp_path):
    mapping = getattr(auto, f"MODEL_FOR_{task}_MAPPING_NAMES")
    others = set(mapping) - {"perceiver"}  # it is refused by name
    found = [faults(mapping, model_type, labels, tmp_path / model_type) for model_type in sorted(others)]
    tried = [one for one in found if one is not None]
    assert len(tried) >= at_least
    assert [fault for one in tried for fault in one] == []


@pytest.mark.parametrize("kind", [GPT2DoubleHeadsModel, OpenAIGPTDoubleHeadsModel])
def test_a_second_head_beside_the_output_embedding_is_trained_and_the_embedding_is_not(kind):
    names = head_names(tiny_model(kind, tiny_config(kind.config_class.model_type, num_labels=1)))
    assert names == {"multiple_choice_head.summary.weight", "multiple_choice_head.summary.bias"}


def test_whispers_projector_and_classifier_are_trained_beside_its_encoder():
    config = tiny_config("whisper", use_weighted_layer_sum=True)
    model = tiny_model(WhisperForAudioClassification, config)
    expected = {f"{part}.{kind}" for part in ("projector", "classifier") for kind in ("weight", "bias")}
    assert head_names(model) == expected | {"layer_weights"}


@pytest.mark.parametrize(("kind", "config"), [(CLIPModel, "clip"), (WhisperForConditionalGeneration, "whisper")])
def test_what_was_pretrained_with_the_backbone_is_no_head(kind, config):
    assert head_names(tiny_model(kind, tiny_config(config))) == set()


def test_a_head_inside_its_backbone_is_refused_by_name():
    model = tiny_model(PerceiverForSequenceClassification, tiny_config("perceiver"))
    with pytest.raises(InputError, match=r"model: must be .* got PerceiverForSequenceClassification; choose another"):
        adapt(model, DyLoRAConfig(2, target_modules=["query", "value"]))


def test_a_module_that_is_no_transformers_model_has_no_head():
    assert task_head(nn.Sequential(nn.Linear(2, 2))) == []


def test_a_users_own_class_keeps_the_pooler_out_if_its_forward_does_not_read_it():
    class Averaged(BertForSequenceClassification):
        def forward(self, input_ids):
            return self.classifier(self.bert(input_ids).last_hidden_state.mean(1))

    model = Averaged(BertConfig(vocab_size=64, hidden_size=32, num_attention_heads=4, num_hidden_layers=1))
    assert head_names(model) == {"classifier.weight", "classifier.bias"}
    assert len(unread_pooler(model)) == 2
    assert unread_pooler(BertForSequenceClassification(model.config)) == []
