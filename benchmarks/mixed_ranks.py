"""Rows of one batch at ranks of their own: one nested adapter here, beside one PEFT LoRA a rank and `adapter_names`.

    python benchmarks/mixed_ranks.py [--quick]

Both have the same factors, and their logits are compared. Needs `peft` (the extra `test`).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import RobertaConfig, RobertaForSequenceClassification

from dylora import DyLoRAConfig, adapt, set_rank

MAX_RANK = 8


def backbone(width: int, layers: int) -> RobertaForSequenceClassification:
    """A random RoBERTa, the same at every call."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    return RobertaForSequenceClassification(
        RobertaConfig(vocab_size=1000, num_attention_heads=width // 32, max_position_embeddings=130, **sizes)
    ).eval()


def nested(width: int, layers: int) -> nn.Module:
    """The backbone with one adapter of all ranks, with random factors."""
    model = adapt(backbone(width, layers), DyLoRAConfig(max_rank=MAX_RANK)).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return model


def one_lora_a_rank(width: int, layers: int, factors: nn.Module) -> nn.Module:
    """The backbone with a LoRA of PEFT for each rank, cut out of the nested factors."""
    model = None
    for rank in range(1, MAX_RANK + 1):
        # alpha/max_rank at every rank, as above: 16 / 8 = 2.
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"])
        if model is None:
            model = get_peft_model(backbone(width, layers), config, adapter_name=f"r{rank}")
        else:
            model.add_adapter(f"r{rank}", config)
    assert model is not None
    weights = dict(factors.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                layer, _, rest = name.removeprefix("base_model.model.").partition(".lora_")
                part, adapter = rest.split(".")[:2]
                rank = int(adapter[1:])
                source = weights[f"{layer}.factors.lora_{part}"]
                parameter.copy_(source[:rank] if part == "A" else source[:, :rank])
    return model.eval()


def seconds(run: Callable[[], Tensor], times: int) -> float:
    """Median time of a call, after one that does not count."""
    run()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    """Print time a batch, parameters and the largest difference of the logits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="A tiny model, in seconds.")
    quick = parser.parse_args().quick
    width, layers, rows, tokens, times = (64, 2, 16, 16, 3) if quick else (384, 6, 32, 64, 20)
    ours = nested(width, layers)
    theirs = one_lora_a_rank(width, layers, ours)
    ids = torch.randint(5, 1000, (rows, tokens))
    ranks = torch.arange(rows) % MAX_RANK + 1
    names = [f"r{rank}" for rank in ranks.tolist()]
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        set_rank(ours, ranks)
        runs = {
            "one rank a row, one adapter": lambda: ours(input_ids=ids, attention_mask=mask).logits,
            "PEFT, adapter_names": lambda: theirs(input_ids=ids, attention_mask=mask, adapter_names=names).logits,
        }
        logits = [run() for run in runs.values()]
        print(f"{rows} rows of {tokens} tokens, ranks 1 to {MAX_RANK}, {layers} layers of width {width}")
        set_rank(ours, 1)
        apart = float((runs["one rank a row, one adapter"]() - logits[0]).abs().max())
        set_rank(ours, ranks)
        difference = float((logits[0] - logits[1]).abs().max())
        print(f"largest difference of the logits: {difference:.1e} (to those at rank 1: {apart:.1e})")
        for (name, run), model in zip(runs.items(), (ours, theirs), strict=True):
            count = sum(parameter.numel() for key, parameter in model.named_parameters() if "lora_" in key)
            print(f"{name:30}{1000 * seconds(run, times):9.1f} ms{count:12,} adapter parameters")


if __name__ == "__main__":
    main()
