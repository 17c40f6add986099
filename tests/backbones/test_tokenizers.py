"""Tokenizers by backbone name."""

import json

import pytest
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dylora.assets import asset_path
from dylora.backbones import tokenizers
from dylora.backbones.tokenizers import tokenizer_digest, tokenizer_for
from dylora.errors import InputError


def save(folder, **special):
    words = ["<end>", "<fill>", "a", "b"]
    model = models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<end>")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), **special).save_pretrained(folder)
    return str(folder)


def test_folder_is_loaded(word_tokenizer):
    assert tokenizer_for(str(word_tokenizer))("w0 w99", "w3")["input_ids"] == [2, 4, 103, 3, 7, 3]


@pytest.mark.parametrize("name", ["roberta", "gpt2"])
def test_shipped_backbones_have_a_tokenizer_that_gives_text_back(name):
    if not asset_path(name).is_dir():
        pytest.skip(f"the shipped {name} is not there")
    tokenizer = tokenizer_for(f"builtin/{name}")
    text = "The Vaults is a cheap pub near the river."
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_end_token_pads_where_there_is_no_padding_token(tmp_path):
    tokenizer = tokenizer_for(save(tmp_path, eos_token="<end>"))
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<end>", 0)


def test_own_padding_token_stays(tmp_path):
    assert tokenizer_for(save(tmp_path, eos_token="<end>", pad_token="<fill>")).pad_token == "<fill>"


def test_tokenizer_without_either_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"model.backbone: must be a tokenizer with a padding or an end token"):
        tokenizer_for(save(tmp_path))


@pytest.mark.parametrize("model_type", ["roberta", "bert"])
def test_folder_with_a_config_alone_is_refused_and_listed(tmp_path, model_type):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(
        InputError, match=rf"model.backbone: must be a folder with a tokenizer .* {tmp_path} with config"
    ):
        tokenizer_for(str(tmp_path))


def test_damaged_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"version": ')
    with pytest.raises(InputError, match=r"model.backbone: must be a folder with a tokenizer"):
        tokenizer_for(str(tmp_path))


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "~/nowhere-at-all", "a/b/c"])
def test_path_that_does_not_exist_is_not_taken_for_a_hub_name(name):
    with pytest.raises(InputError, match=r"model.backbone: must be an existing folder or a hub name, got"):
        tokenizer_for(name)


def test_hub_name_without_network_says_how_to_work_offline(monkeypatch):
    def unreachable(name):
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    monkeypatch.setattr(tokenizers.AutoTokenizer, "from_pretrained", unreachable)
    with pytest.raises(InputError) as caught:
        tokenizer_for("some/model")
    message = str(caught.value)
    assert message.startswith("model.backbone: must be a hub name that can be reached or lies in the cache, got some/")
    assert "--model.backbone DIR" in message
    assert "HF_HUB_OFFLINE=1" in message


def test_digest_outlives_use(word_tokenizer):
    tokenizer = AutoTokenizer.from_pretrained(word_tokenizer)
    before = tokenizer_digest(tokenizer)
    tokenizer(["w1 w2", "w3"], truncation=True, max_length=4, padding=True)
    assert tokenizer_digest(tokenizer) == before


def test_digest_tells_vocabularies_apart(word_tokenizer, tmp_path):
    text = (word_tokenizer / "tokenizer.json").read_text()
    AutoTokenizer.from_pretrained(word_tokenizer).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(text.replace('"w7"', '"v7"'))
    digests = {tokenizer_digest(tokenizer_for(str(folder))) for folder in (word_tokenizer, tmp_path)}
    assert len(digests) == 2
