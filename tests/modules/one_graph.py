"""Counts the graphs of compiled backbones, in a process without the tests' own checks of types, which break graphs.

Prints a JSON object: graphs in training, in evaluation, of a language model, and how far the compiled loss and its
gradients lie from the uncompiled ones. Arguments: folder of the backbone, the compiler.
"""

import json
import sys

import torch
import torch._dynamo.utils as dynamo

from dylora.adapters.config import DyLoRAConfig
from dylora.modules import compiled
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule


def batch_of(rows, tokens):
    ids = (torch.arange(rows * tokens) % 30).view(rows, tokens) + 5
    mask = torch.ones_like(ids)
    mask[-1, -1] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.arange(rows) % 2}


def graphs():
    """Graphs that were made since the last call."""
    count = dynamo.counters["stats"]["unique_graphs"]
    torch._dynamo.reset()
    dynamo.counters.clear()
    return count


def classifier(backbone, compile):
    torch.manual_seed(0)
    module = SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=4), compile=compile)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if "lora_" in name or "classifier" in name:
            parameter.data.normal_(std=0.1, generator=generator)
    return module


def train(module):
    """Several ranks, batch sizes and lengths; as many rows as `max_rank` among them."""
    for rank, rows, tokens in ((1, 4, 6), (3, 4, 9), (4, 5, 7), (2, 3, 12)):
        module.plan_step((rank,), (1.0,))
        module._task_loss(batch_of(rows, tokens)).backward()
    module.plan_rows(torch.tensor([1, 4, 2]))
    module._task_loss(batch_of(3, 12)).backward()


@torch.no_grad()
def evaluate(module):
    for rows, tokens in ((4, 6), (5, 9), (200, 8)):
        assert len(list(module.outputs_at_ranks(batch_of(rows, tokens)))) == 4
    module.eval_ranks = (2,)
    assert len(list(module.outputs_at_ranks(batch_of(3, 11)))) == 1


def train_tokens(module):
    for rank, rows, tokens in ((1, 3, 6), (3, 2, 9)):
        batch = batch_of(rows, tokens)
        module.plan_step((rank,), (1.0,))
        module._task_loss({**batch, "labels": batch["input_ids"]}).backward()


@torch.no_grad()
def predict_tokens(module):
    for rows, tokens in ((3, 6), (5, 9)):
        batch = batch_of(rows, tokens)
        assert len(list(module.outputs_at_ranks({**batch, "labels": batch["input_ids"]}))) == 4


def difference(backbone):
    found = []
    for compile in (True, False):
        module = classifier(backbone, compile).eval()
        module.plan_step((2,), (1.0,))
        loss = module._task_loss(batch_of(4, 6))
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in module.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) > 4
    return max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))


if __name__ == "__main__":
    where, compiled.BACKEND = sys.argv[1:]
    report = {}
    module = classifier(where, True)
    train(module.train())
    report["training"] = graphs()
    evaluate(module.eval())
    report["evaluation"] = graphs()
    train_tokens(language_model := GenerationModule(compile=True))
    report["training of a language model"] = graphs()
    predict_tokens(language_model.eval())
    report["evaluation of a language model"] = graphs()
    report["difference"] = difference(where)
    print(json.dumps(report))
