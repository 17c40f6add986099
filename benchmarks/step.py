"""A training step beside PEFT's and beside the limit: the frozen backbone's forward and its input gradient.

    python benchmarks/step.py
    python benchmarks/step.py --backbone gpt2

Random weights of RoBERTa-base's or GPT-2's width, 4 layers, 16 rows of 128 tokens. A step is forward, backward and
update. Adapted are query and value, here at a rank drawn anew at each step, at the largest one, and with a rank for
each row; PEFT at the largest rank; on GPT-2's fused `c_attn` PEFT adapts the whole, as it cannot take a part. The limit
trains nothing: its gradient goes down to where the first adapter would be. Needs `peft` (the extra `test`).
"""

import itertools
import warnings
from collections.abc import Callable, Sequence

import timing
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from dylora import DyLoRAConfig, adapt, set_rank

RANKS = 8
VOCABULARY = 1000
FIRST = {"roberta": "roberta.encoder.layer.0.attention.self.query", "gpt2": "transformer.h.0.attn.c_attn"}


def roberta(layers: int, width: int) -> PreTrainedModel:
    """A random RoBERTa without dropout, the same at every call."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    config = RobertaConfig(vocab_size=VOCABULARY, num_attention_heads=width // 64, max_position_embeddings=140, **sizes)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return RobertaForSequenceClassification(config)


def gpt2(layers: int, width: int) -> PreTrainedModel:
    """A random GPT-2 without dropout, the same at every call."""
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    sizes = {"n_positions": 140, "n_embd": width, "n_layer": layers, "n_head": width // 64}
    return GPT2ForSequenceClassification(GPT2Config(vocab_size=VOCABULARY, use_cache=False, **sizes, **ends, **dropout))


def batches(rows: int, lengths: Sequence[int]) -> list[dict[str, Tensor]]:
    """A batch of each length, without padding."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for tokens in lengths:
        ids = torch.randint(5, VOCABULARY, (rows, tokens), generator=generator)
        made.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.arange(rows) % 2})
    return made


def limit(model: PreTrainedModel, kind: str) -> nn.Module:
    """Nothing to train: the gradient ends at the output of the first layer that has an adapter elsewhere."""
    model.requires_grad_(False)
    model.get_submodule(FIRST[kind]).register_forward_hook(lambda module, args, output: output.requires_grad_())
    return model


def peft(model: PreTrainedModel, kind: str) -> nn.Module:
    """PEFT's LoRA, with the task head trained as here."""
    targets = ["query", "value"] if kind == "roberta" else ["c_attn"]
    config = LoraConfig("SEQ_CLS", r=RANKS, lora_alpha=16, target_modules=targets, fan_in_fan_out=kind == "gpt2")
    return get_peft_model(model, config)


def ours(model: PreTrainedModel, kind: str) -> nn.Module:
    """The nested adapter of query and value."""
    targets = ["query", "value"] if kind == "roberta" else ["c_attn[q,v]"]
    return adapt(model, DyLoRAConfig(max_rank=RANKS, target_modules=targets))


def training(model: nn.Module, batch: dict[str, Tensor], ranks: Sequence[int | Tensor] = ()) -> Callable[[], None]:
    """One step, each time at the next of the ranks."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4) if trained else None
    following = itertools.cycle(ranks)

    def run() -> None:
        if ranks:
            set_rank(model, next(following))
        model(**batch).loss.backward()
        if optimizer:
            optimizer.step()
            optimizer.zero_grad()

    return run


def main() -> None:
    """Parse the command line, measure, print."""
    parser = timing.parser(__doc__, repetitions=15)
    parser.add_argument("--backbone", choices=list(FIRST), default="roberta", help="roberta (default) or gpt2")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    kind, (layers, width, rows, tokens) = options.backbone, (1, 64, 4, 12) if options.quick else (4, 768, 16, 128)
    build = {"roberta": roberta, "gpt2": gpt2}[kind]
    (batch,) = batches(rows, [tokens])
    every = torch.arange(rows) % RANKS + 1
    ways = {
        "a rank a step": training(ours(build(layers, width), kind), batch, [3, 8, 1, 5, 2, 7, 4, 6]),
        "the largest rank": training(ours(build(layers, width), kind), batch, [RANKS]),
        "a rank per row": training(ours(build(layers, width), kind), batch, [every]),
        "PEFT": training(peft(build(layers, width), kind), batch),
        "limit": training(limit(build(layers, width), kind), batch),
    }
    found = timing.medians(ways, 1 if options.quick else options.repetitions)
    for name, seconds in found.items():
        print(f"{name + ' / PEFT':24}{seconds / found['PEFT']:.3f}")
    timing.show(found, "s a step", ("a rank a step", "PEFT"))


if __name__ == "__main__":
    main()
