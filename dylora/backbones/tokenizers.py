"""Which tokenizer belongs to a backbone's name."""

import hashlib
import json
import os
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from dylora.assets import resolve_backbone
from dylora.backbones import hub_logs
from dylora.backbones.hub import check_hub
from dylora.errors import InputError


def tokenizer_for(backbone: str, gguf_file: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a backbone, with a padding token (the end token where it has none of its own).

    Args:
        backbone: `builtin/roberta` or `builtin/gpt2` (the shipped tiny ones), a folder, or a name on the hub.
        gguf_file: Name of the GGUF file in that folder or repository that holds the tokenizer.

    Raises:
        InputError: If the folder does not exist or holds no tokenizer, or the hub cannot be reached.
    """
    folder = Path(resolve_backbone(backbone)).expanduser()
    is_local = folder.is_dir()
    if not is_local and (folder.is_absolute() or backbone.startswith(".") or len(folder.parts) > 2):
        allowed = "an existing folder or a hub name"
        raise InputError("model.backbone", allowed, backbone, "check the path's spelling")
    tokenizer = _load(str(folder) if is_local else backbone, is_local, gguf_file)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            allowed = "a tokenizer with a padding or an end token"
            raise InputError("model.backbone", allowed, f"none in {backbone}", "add pad_token to it")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _load(name: str, is_local: bool, gguf_file: str | None) -> PreTrainedTokenizerBase:
    gguf = {} if gguf_file is None else {"gguf_file": gguf_file}
    check_hub(name)
    try:
        with hub_logs.quiet():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, **gguf)
    except Exception as error:  # whatever the libraries raise about files that are no tokenizer
        raise _unusable(name, is_local) from error
    # From a folder with a config alone, transformers makes a tokenizer that knows nothing but its special tokens.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise _unusable(name, is_local)
    return tokenizer


def _unusable(name: str, is_local: bool) -> InputError:
    if is_local:
        found = ", ".join(sorted(os.listdir(name))) or "nothing"
        allowed = "a folder with a tokenizer (tokenizer.json, or vocab.json and merges.txt, or vocab.txt)"
        fix = "copy the tokenizer's files into it, or load it again if they are damaged"
        return InputError("model.backbone", allowed, f"{name} with {found}", fix)
    allowed = "a hub name that can be reached or lies in the cache"
    fix = (
        f"check the name and the network; offline, give a local folder with --model.backbone DIR {hub_logs.OFFLINE_FIX}"
    )
    return InputError("model.backbone", allowed, name, fix)


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of everything that decides which ids a text gets: vocabulary, merges, normaliser, special tokens."""
    if tokenizer.is_fast:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        # These two are what the last call asked for, no property of the tokenizer.
        del state["truncation"], state["padding"]
    else:
        state = [type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.special_tokens_map]
    text = json.dumps([state, tokenizer.model_input_names], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
