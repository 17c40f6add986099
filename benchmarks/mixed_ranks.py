"""Rows of one batch at ranks of their own: one nested adapter here, beside one PEFT LoRA a rank and `adapter_names`.

    python benchmarks/mixed_ranks.py

Both have the same factors, and their logits are compared. Needs `peft` (the extra `test`).
"""

from collections.abc import Callable

import timing
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


def adapter_parameters(model: nn.Module) -> int:
    """Number of the factors' parameters."""
    return sum(parameter.numel() for name, parameter in model.named_parameters() if "lora_" in name)


def main() -> None:
    """Print the largest difference of the logits, parameters, and the time of a batch."""
    options = timing.parser(__doc__, repetitions=20).parse_args()
    torch.set_num_threads(options.threads)
    width, layers, rows, tokens = (64, 2, 16, 16) if options.quick else (384, 6, 32, 64)
    ours = nested(width, layers)
    theirs = one_lora_a_rank(width, layers, ours)
    ids = torch.randint(5, 1000, (rows, tokens))
    ranks = torch.arange(rows) % MAX_RANK + 1
    names = [f"r{rank}" for rank in ranks.tolist()]
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        set_rank(ours, ranks)
        ways: dict[str, Callable[[], Tensor]] = {
            "one rank a row, one adapter": lambda: ours(input_ids=ids, attention_mask=mask).logits,
            "PEFT, adapter_names": lambda: theirs(input_ids=ids, attention_mask=mask, adapter_names=names).logits,
        }
        one_adapter, of_peft = (run() for run in ways.values())
        print(f"{rows} rows of {tokens} tokens, ranks 1 to {MAX_RANK}, {layers} layers of width {width}")
        set_rank(ours, 1)
        apart = float((ways["one rank a row, one adapter"]() - one_adapter).abs().max())
        set_rank(ours, ranks)
        difference = float((one_adapter - of_peft).abs().max())
        print(f"largest difference of the logits: {difference:.1e} (to those at rank 1: {apart:.1e})")
        print(f"adapter parameters: {adapter_parameters(ours):,}, of PEFT {adapter_parameters(theirs):,}")
        found = timing.medians(ways, 1 if options.quick else options.repetitions)
    timing.show(
        {name: 1000 * seconds for name, seconds in found.items()},
        "ms a batch",
        ("one rank a row, one adapter", "PEFT, adapter_names"),
    )


if __name__ == "__main__":
    main()
