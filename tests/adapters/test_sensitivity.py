"""What is gathered, against gradients of one example at a time; and that gathering leaves no trace."""

from collections import UserDict

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from dylora.adapters.active_rank import rank_state, set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.merging import merge
from dylora.adapters.sensitivity import fisher_quantity, gather_sensitivities
from dylora.errors import InputError

SENTENCES = [[1, 5, 6, 7, 8, 2], [1, 9, 2], [1, 9, 30, 5, 2]]
LENGTH = 9


def _padded(sentences, length=LENGTH, left=False):
    ids, mask = torch.zeros(len(sentences), length, dtype=torch.long), torch.zeros(len(sentences), length)
    for row, sentence in enumerate(sentences):
        place = slice(length - len(sentence), length) if left else slice(len(sentence))
        ids[row, place], mask[row, place] = torch.tensor(sentence), 1
    return {"input_ids": ids, "attention_mask": mask.long()}


def _factors(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRankFactors)}


def _one_at_a_time(model, sentences, quantity):
    """The oracle: each sentence alone, no padding, the input and output of every adapted layer kept by hooks."""
    sums = {name: [0.0, 0.0] for name in _factors(model)}
    set_rank(model, rank_state(model).config.max_rank)
    for sentence in sentences:
        seen, hooks = {}, []
        for name in sums:

            def keep(module, inputs, output, name=name, seen=seen):
                output.retain_grad()
                seen[name] = (inputs[0], output)

            hooks.append(model.get_submodule(name.partition(".factors")[0]).register_forward_hook(keep))
        quantity(model(torch.tensor([sentence])).logits[0]).backward()
        for hook in hooks:
            hook.remove()
        for name, (x, output) in seen.items():
            grad = _part(name, output.grad)
            for token in range(len(sentence)):
                if grad[0, token].abs().max() > 1e-6 * grad.abs().max():
                    sums[name][0] += torch.outer(x[0, token], x[0, token]).detach()
                    sums[name][1] += torch.outer(grad[0, token], grad[0, token])
    model.zero_grad()
    return sums


def _part(name, grad):
    """Of GPT-2's `c_attn` the third that is the query or the value; else all of it."""
    thirds = dict(zip("qkv", grad.chunk(3, dim=-1), strict=True)) if "c_attn" in name else {}
    return thirds.get(name[-1], grad)


def _two_classes(z):
    p = z.detach().softmax(-1)
    return (z[1] - z[0]) * (p[0] * p[1]).sqrt()


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
@pytest.mark.parametrize(("labels", "output", "quantity"), [(2, "classes", _two_classes), (1, "score", torch.sum)])
def test_the_sums_are_those_of_one_example_at_a_time_without_padding(adapted, family, labels, output, quantity):
    model = adapted(family, num_labels=labels)
    expected = _one_at_a_time(model, SENTENCES, quantity)
    batches = [_padded(SENTENCES[:2]), _padded(SENTENCES[2:])]
    found = gather_sensitivities(model, batches, lambda batch: model(**batch).logits, output)
    assert found.keys() == expected.keys()
    for name, (inputs, gradients) in expected.items():
        torch.testing.assert_close(found[name].inputs, inputs, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[name].gradients, gradients, rtol=1e-3, atol=1e-6)
        assert 0 < found[name].rows <= sum(map(len, SENTENCES))


def test_of_a_layer_below_all_tokens_count_and_padding_does_not(adapted):
    model = adapted("bert")
    found = gather_sensitivities(model, [_padded(SENTENCES)], lambda batch: model(**batch).logits, "classes")
    rows = {name: one.rows for name, one in found.items()}
    assert {count for name, count in rows.items() if "layer.0" in name} == {14}
    # The classifier reads the first token alone: no other query of the last layer matters, but every value does.
    assert rows["bert.encoder.layer.1.attention.self.query.factors"] == 3
    assert rows["bert.encoder.layer.1.attention.self.value.factors"] == 14


@pytest.mark.parametrize("left", [False, True])
def test_a_language_model_counts_the_tokens_that_it_is_asked_for(adapted, left):
    model = adapted("gpt2", AutoModelForCausalLM)
    batch = _padded(SENTENCES, left=left)

    def logits(batch):
        positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        return model(**batch, position_ids=positions).logits[batch["attention_mask"].bool()]

    found = gather_sensitivities(model, [batch], logits, "classes")
    for name, one in found.items():
        assert one.rows == (11 if name.endswith("q") else 14)  # the first token sees itself alone, whatever its query
        assert torch.linalg.eigvalsh(one.gradients).min() > -1e-6
        assert one.gradients.trace() > 0


def test_two_classes_are_the_exact_fisher_information_and_more_are_right_in_the_mean():
    generator = torch.Generator().manual_seed(0)
    for logits in (torch.tensor([[0.3, -1.0]]), torch.tensor([[0.3, -1.0, 0.8]])):
        p = logits.softmax(-1)[0]
        fisher = torch.diag(p) - torch.outer(p, p)
        draws = 1 if len(p) == 2 else 20_000
        z = logits.expand(draws, -1).clone().requires_grad_()
        (g,) = torch.autograd.grad(fisher_quantity(z, "classes", generator), z)
        torch.testing.assert_close(g.T @ g / draws, fisher, rtol=0, atol=1e-6 if draws == 1 else 6e-3)


def test_scores_give_their_jacobian():
    generator = torch.Generator().manual_seed(0)
    for shape in ((5,), (5, 1), (5, 3)):
        z = torch.randn(shape, requires_grad=True)
        (g,) = torch.autograd.grad(fisher_quantity(z, "score", generator), z)
        assert torch.equal(g.abs(), torch.ones(shape))


def test_it_is_reproducible_and_leaves_the_random_state_alone(adapted):
    model = adapted("bert")
    state = torch.get_rng_state()
    first, again, other = (
        gather_sensitivities(model, [_padded(SENTENCES)], lambda batch: model(**batch).logits, "classes", seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    name = next(iter(first))
    assert torch.equal(first[name].gradients, again[name].gradients)
    assert not torch.equal(first[name].gradients, other[name].gradients)


def test_the_batch_that_reaches_the_number_of_examples_is_the_last(adapted):
    model, taken = adapted("bert"), []

    def logits(batch):
        taken.append(len(batch["input_ids"]))
        return model(**batch).logits

    gather_sensitivities(model, (_padded(SENTENCES) for _ in range(9)), logits, "classes", examples=4)
    assert taken == [3, 3]


def test_a_tokenizers_batch_will_do(adapted):
    model = adapted("bert")
    batch = UserDict(_padded(SENTENCES))
    assert gather_sensitivities(model, [batch], lambda batch: model(**batch).logits, "classes")


class _Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.norm, self.drop = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.drop(self.norm(self.layer(x))))


@pytest.mark.parametrize("error", [False, True])
def test_dropout_is_off_batch_norm_rests_and_everything_is_restored(error):
    model = adapt(_Normed(), DyLoRAConfig(2, dropout=0.5, target_modules=["layer"]))
    model.train()
    model.norm.eval()
    set_rank(model, 1, frozen=True)
    model.layer.factors.lora_B.requires_grad_(False)
    modes = {name: module.training for name, module in model.named_modules()}
    needs = {name: p.requires_grad for name, p in model.named_parameters()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(8, 4)

    def logits(batch):
        if error:
            raise RuntimeError("broken")
        return model(batch["x"])

    with torch.no_grad():
        if error:
            with pytest.raises(RuntimeError, match="broken"):
                gather_sensitivities(model, [{"x": x}], logits, "classes")
        else:
            found = gather_sensitivities(model, [{"x": x}], logits, "classes")["layer.factors"]
            torch.testing.assert_close(found.inputs, x.T @ x)  # nothing of the input is dropped
        assert not torch.is_grad_enabled()
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert {name: p.requires_grad for name, p in model.named_parameters()} == needs
    assert all(p.grad is None for p in model.parameters())
    assert (rank_state(model).rank, rank_state(model).frozen) == (1, True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.layer.factors._forward_hooks


def test_a_checkpointed_model_is_counted_once(adapted):
    model = adapted("bert")
    plain = gather_sensitivities(model, [_padded(SENTENCES)], lambda batch: model(**batch).logits, "classes")
    model.activation_checkpointing_enable({"use_reentrant": False})

    def logits(batch):
        model.train()  # checkpoints in training alone; the tiny models have no dropout
        return model(**batch).logits

    again = gather_sensitivities(model, [_padded(SENTENCES)], logits, "classes")
    for name, one in plain.items():
        assert again[name].rows == one.rows
        torch.testing.assert_close(again[name].gradients, one.gradients)


def test_bad_use(adapted):
    model = adapted("bert")
    with pytest.raises(InputError, match="batches: must be at least one batch"):
        gather_sensitivities(model, [], lambda batch: model(**batch).logits, "classes")
    with pytest.raises(InputError, match="examples: must be 1 or more, got 0"):
        gather_sensitivities(model, [_padded(SENTENCES)], lambda batch: model(**batch).logits, "classes", examples=0)
    merge(model, 2)
    with pytest.raises(InputError, match="model: must be unmerged, got merged at 2"):
        gather_sensitivities(model, [_padded(SENTENCES)], lambda batch: model(**batch).logits, "classes")
