"""A run small enough for tests: a random two-layer backbone of width 16 and a few rows of the embedded task."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, RobertaConfig, RobertaForMaskedLM

from dylora.assets import asset_path
from dylora.backbones import hub_logs


def save_backbone(folder: Path, seed: int = 0, **changes: Any) -> str:
    """Write a random RoBERTa with the shipped tokenizer; returns its folder as text."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(asset_path("roberta"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=66, type_vocab_size=1, **{**sizes, **changes}
    )
    with hub_logs.quiet():
        RobertaForMaskedLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def options(backbone: str, root: Path, **changes: Any) -> list[str]:
    """Command-line options of a run of two epochs of five steps in `root/logs`, with the cache beside it."""
    values = {
        "model.backbone": backbone,
        "model.learning_rate": 1e-2,
        "model.adapter.max_rank": 4,
        "model.adapter.dropout": 0.1,
        "data.task": "restaurants",
        "rank_sampling.recipe": "dylora",  # the default needs more steps than a test has
        "data.max_length": 24,
        "data.train_batch_size": 8,
        "data.cache_dir": root / "cache",
        "trainer.max_epochs": 2,
        "trainer.limit_train_batches": 5,
        "trainer.limit_val_batches": 3,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.default_root_dir": root / "logs",
        **changes,
    }
    return [f"--{key}={value}" for key, value in values.items()]


def records_of(path: Path) -> list[Any]:
    """The values of a JSON Lines file; a line ends at a line feed alone, whatever else the texts hold."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def metrics_of(run: Path) -> dict[str, Any]:
    """The run's `rank_metrics.json`."""
    content: dict[str, Any] = json.loads((run / "rank_metrics.json").read_text())
    return content
