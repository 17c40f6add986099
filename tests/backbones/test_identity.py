"""Who a backbone is: by its frozen weights, and by the buffers that are saved with them."""

import hashlib

import torch
from tiny_models import tiny_config, tiny_inputs, tiny_model
from transformers import BartForConditionalGeneration, RobertaForSequenceClassification
from transformers import Wav2Vec2ConformerForSequenceClassification as Conformer

from dylora.backbones.identity import identify


def hash_of_frozen_parameters(model):
    """What a fingerprint was before buffers counted, written out."""
    digest = hashlib.sha256()
    for name, parameter in sorted((n, p) for n, p in model.named_parameters() if not p.requires_grad):
        flat = parameter.detach().reshape(-1)
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(flat[:: max(1, flat.numel() // 4096)].numpy().tobytes())
    return digest.hexdigest()[:16]


def frozen(kind, model_type):
    torch.manual_seed(0)
    return tiny_model(kind, tiny_config(model_type)).requires_grad_(False)


def test_other_statistics_are_another_backbone_even_with_equal_weights():
    model, other = frozen(Conformer, "wav2vec2-conformer"), frozen(Conformer, "wav2vec2-conformer")
    assert identify(model, "a") == identify(other, "a")
    other.train()(**tiny_inputs(other))
    assert identify(model, "a").fingerprint != identify(other, "a").fingerprint
    assert identify(model, "a").parameter_fingerprint == identify(other, "a").parameter_fingerprint


def test_buffers_that_are_in_no_file_change_no_fingerprint():
    model = frozen(RobertaForSequenceClassification, "roberta")
    assert dict(model.named_buffers())
    found = identify(model, "a")
    assert found.fingerprint == found.parameter_fingerprint == hash_of_frozen_parameters(model)


def test_the_fingerprint_of_older_checkpoints_is_still_known():
    model = frozen(BartForConditionalGeneration, "bart")
    found = identify(model, "a")
    assert found.fingerprint != hash_of_frozen_parameters(model)  # final_logits_bias is a saved buffer
    assert found.parameter_fingerprint == hash_of_frozen_parameters(model)
