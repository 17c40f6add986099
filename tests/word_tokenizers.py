"""Tokenizers whose ids can be read off: one id a word, w0 ... w99 are 4 ... 103."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3


def word_tokenizer(template: str = "$A", metaspace: bool = False, **special: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer with `<pad>`, `<unk>`, `<s>` and `</s>`.

    Args:
        template: What it puts around a text, such as `<s> $A </s>`.
        metaspace: Whether every word begins with the space before it, the first one too, as in SentencePiece.
        **special: Special tokens in the place of these, None for none.
    """
    words = [f"\u2581w{i}" if metaspace else f"w{i}" for i in range(100)]
    vocabulary = {word: place for place, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *words])}
    if metaspace:
        vocabulary["\u2581"] = len(vocabulary)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace() if metaspace else pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", BEGIN), ("</s>", END)]
    )
    tokens = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", **special}
    given = {name: token for name, token in tokens.items() if token is not None}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **given)


def save_backbone(folder: Path, tokenizer: PreTrainedTokenizerFast, **config: Any) -> str:
    """Write a tokenizer and a configuration (that of a GPT-2 with 1,024 positions); returns the folder as text."""
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **config}))
    return str(folder)
