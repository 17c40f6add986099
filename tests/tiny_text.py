"""Data for a module that writes text, small enough for tests: a few restaurants and a random backbone of width 16."""

from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from dylora.assets import asset_path
from dylora.backbones import hub_logs
from dylora.data.sources.text_items import Item

ITEMS = [
    Item("The Mill | pub", ("The Mill is a pub.", "A pub called The Mill."), {"seen": "S"}),
    Item("Aromi | cheap", ("Aromi is cheap.",), {"seen": "U"}),
    Item("Zizzi | cheap | Italian food", ("Zizzi has cheap Italian food.", "Zizzi is cheap."), {"seen": "S"}),
    Item("The Vaults | riverside", ("The Vaults lies by the river.",), {"seen": "U"}),
    Item("Cotto | pub | high", ("Cotto is an expensive pub.",), {"seen": "S"}),
]


def save_writer(folder: Path, family: str = "gpt2", **changes: Any) -> str:
    """Write a random language model with the shipped tokenizer; returns its folder as text."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(asset_path("gpt2"))
    ids = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    llama = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    t5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
    models = {
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=96, **ids, **changes)),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**llama, **ids, **changes)),
        "t5": lambda: T5ForConditionalGeneration(T5Config(**t5, **ids, **changes)),
    }
    with hub_logs.quiet():
        models[family]().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


class Restaurants:
    """What a module asks of its data, and batches of it."""

    def __init__(self, is_encoder_decoder: bool = False) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(asset_path("gpt2"))
        self.is_encoder_decoder = is_encoder_decoder

    def items(self, split: str) -> list[Item]:
        """The same items in every split."""
        assert split in ("validation", "test")
        return ITEMS

    def teacher_forced(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """The first reference of each item, to be predicted."""
        sources = [torch.tensor(self.tokenizer.encode(ITEMS[row].source)) for row in rows]
        texts = [torch.tensor([*self.tokenizer.encode(ITEMS[row].references[0]), 0]) for row in rows]
        labels = texts
        if not self.is_encoder_decoder:
            labels = [torch.cat([torch.full_like(a, -100), b]) for a, b in zip(sources, texts, strict=True)]
            sources = [torch.cat(pair) for pair in zip(sources, texts, strict=True)]
        return {
            "input_ids": pad_sequence(sources, batch_first=True),
            "attention_mask": pad_sequence([torch.ones_like(ids) for ids in sources], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
            "index": torch.tensor(rows),
        }

    def prompts(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """Prompts to generate from."""
        side = "right" if self.is_encoder_decoder else "left"
        sources = [torch.tensor(self.tokenizer.encode(ITEMS[row].source)) for row in rows]
        return {
            "input_ids": pad_sequence(sources, batch_first=True, padding_side=side),
            "attention_mask": pad_sequence([torch.ones_like(x) for x in sources], batch_first=True, padding_side=side),
            "index": torch.tensor(rows),
        }
