"""An adapter of a larger range starts with the function of the old one at every old rank."""

import pytest
import torch

from dylora.adapters.active_rank import use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.functional import SCALINGS
from dylora.adapters.growing import grow_
from dylora.adapters.parameters import adapter_state
from dylora.errors import InputError


def _of(config):
    return {"max_rank": config.max_rank, "alpha": config.alpha, "scaling": config.scaling}


def _fresh(model):
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    return model


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("kind", "alpha"), [("bert", 8), ("gpt2", 5)])
def test_the_function_is_that_of_the_old_adapter_at_every_old_rank(adapted, token_ids, scaling, kind, alpha):
    old_config = DyLoRAConfig(max_rank=4, alpha=8, scaling=scaling)
    old = adapted(kind, config=old_config)
    new = _fresh(adapted(kind, config=DyLoRAConfig(max_rank=16, alpha=alpha, scaling=scaling)))
    random = {n: p.detach().clone() for n, p in new.named_parameters() if "lora_A" in n}
    growth = grow_(new, adapter_state(old), _of(old_config))
    assert (growth.old_rank, growth.left) == (4, ())
    for rank in (1, 2, 3, 4):
        with torch.no_grad(), use_rank(old, rank), use_rank(new, rank):
            assert torch.allclose(new(token_ids).logits, old(token_ids).logits, atol=1e-5)
    for name, parameter in new.named_parameters():
        if "lora_A" in name:
            assert torch.equal(parameter[4:], random[name][4:])
        elif "lora_B" in name:
            assert not parameter[:, 4:].any()
    if scaling == "alpha/max_rank":
        with torch.no_grad(), use_rank(old, 4), use_rank(new, 16):
            assert torch.allclose(new(token_ids).logits, old(token_ids).logits, atol=1e-5)


def test_a_head_of_another_width_starts_anew(adapted):
    config = DyLoRAConfig(max_rank=4, alpha=8)
    old, new = adapted(config=config, num_labels=2), _fresh(adapted(config=config, num_labels=5))
    before = new.classifier.weight.detach().clone()
    growth = grow_(new, adapter_state(old), _of(config))
    assert growth.left == ("classifier.weight", "classifier.bias")
    assert torch.equal(new.classifier.weight, before)
    assert all(name.startswith("bert.pooler") for name in growth.taken)


def test_what_cannot_be_the_same_function_is_refused_and_changes_nothing(adapted):
    large, small = DyLoRAConfig(max_rank=8), DyLoRAConfig(max_rank=4)
    model = adapted(config=small)
    before = {name: tensor.clone() for name, tensor in adapter_state(model).items()}
    with pytest.raises(InputError, match=r"--init_from: must be an adapter of max_rank 4 or less, got one of 8"):
        grow_(model, adapter_state(adapted(config=large)), _of(large))
    other = DyLoRAConfig(max_rank=4, scaling="alpha/b")
    with pytest.raises(InputError, match="must be an adapter with scaling alpha/max_rank, got one with alpha/b"):
        grow_(model, adapter_state(adapted(config=other)), _of(other))
    more = DyLoRAConfig(max_rank=4, target_modules=["query", "key"])
    with pytest.raises(InputError, match="modules that are adapted here too"):
        grow_(model, adapter_state(adapted(config=more)), _of(more))
    wide = adapted(config=small, hidden_size=32)
    with pytest.raises(InputError, match=r"an adapter of this backbone \(16 wide\)"):
        grow_(model, adapter_state(wide), _of(small))
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapter_state(model).items())
