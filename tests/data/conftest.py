"""Fixtures of the data tests: a tokenizer whose ids can be read off, and the real GLUE files."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def word_tokenizer(tmp_path_factory):
    """Folder of a tokenizer with one id a word: w0 ... w99 are 4 ... 103, and [CLS] a [SEP] b [SEP] around them."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate([*special, *(f"w{i}" for i in range(100))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    folder = tmp_path_factory.mktemp("word_tokenizer")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def real_glue():
    """The real GLUE files, in the folder `shared` beside a folder that holds the repository."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "data" / "glue"
        if folder.is_dir():
            return folder
    return pytest.skip("no real GLUE data in ../shared/data/glue")
