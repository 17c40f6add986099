"""Real table-to-text data, golden data and the GPT-2 tokenizer, in the folder `shared` beside the repository."""

import json
from pathlib import Path
from typing import Any

import pytest


def shared(*parts: str) -> Path:
    """A file or folder of `shared`; skips the test where it is not there."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared").joinpath(*parts).exists():
            return (parent / "shared").joinpath(*parts)
    return pytest.skip(f"no ../shared/{'/'.join(parts)}")


def nlg_data() -> Path:
    """The folder with `e2e`, `webnlg` and `dart`."""
    return shared("data", "nlg")


def gpt2_tokenizer() -> str:
    """Folder of GPT-2's tokenizer and configuration."""
    return str(shared("models", "gpt2-tokenizer"))


def linearisation() -> dict[str, Any]:
    """Records, prompts, completions and their GPT-2 token ids, made by the LoRA code base."""
    golden: dict[str, Any] = json.loads(shared("reference", "nlg_metrics", "linearisation.json").read_text("utf-8"))
    return golden
