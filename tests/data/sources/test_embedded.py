"""The embedded sets and backbones: fixed, disjoint, balanced, small, and really pretrained."""

import math
import re
from collections import Counter

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from dylora.assets import asset_path
from dylora.data.sources import embedded, grammar
from dylora.errors import InputError

SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize("rows_of", [embedded.table_to_text, embedded.entailment])
def test_unknown_split_is_the_users_error(rows_of):
    with pytest.raises(InputError, match="split: must be one of train, validation, test, got 'dev'"):
        rows_of("dev")


@pytest.mark.parametrize("rows_of", [embedded.table_to_text, embedded.entailment])
def test_rows_are_the_same_every_time(rows_of):
    assert rows_of("test") == rows_of("test")


def test_first_entailment_row():
    assert embedded.entailment("test")[0] == {
        "sentence1": "The Mill offers Italian dishes, is a coffee shop, lies at the harbour and has average prices.",
        "sentence2": "The Mill suits a small budget.",
        "label": 1,
    }


def test_first_table_to_text_row():
    assert embedded.table_to_text("test")[0] == {
        "mr": "name[Blue Door], eatType[coffee shop], priceRange[moderate], familyFriendly[no]",
        "references": [
            "Blue Door is a mid-priced coffee shop. It is grown-up.",
            "Blue Door, a mid-priced coffee shop, is open. It does not welcome children.",
            "Blue Door is a mid-priced grown-up café.",
            "There is a grown-up affordable coffee shop called Blue Door.",
        ],
    }


def _combinations(split):
    """Attribute combinations of the table-to-text rows, without the name."""
    return {row["mr"].split(", ", 1)[1] for row in embedded.table_to_text(split)}


def test_table_to_text_splits_share_no_combination_of_attributes():
    train, validation, test = (_combinations(split) for split in SPLITS)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_entailment_splits_share_no_combination_of_attributes(monkeypatch):
    used = {}
    original = grammar.wordings
    for split in SPLITS:
        meanings = used[split] = set()

        def record(meaning, rng, into=meanings):
            into.add(grammar.meaning_text({slot: value for slot, value in meaning.items() if slot != "name"}))
            return original(meaning, rng)

        monkeypatch.setattr(grammar, "wordings", record)
        embedded.entailment(split)
    assert all(len(meanings) > 50 for meanings in used.values())
    assert not used["train"] & used["validation"]
    assert not used["train"] & used["test"]
    assert not used["validation"] & used["test"]


@pytest.mark.parametrize(("split", "size"), [("train", 4000), ("validation", 500), ("test", 500)])
def test_entailment_is_balanced_and_free_of_doubles(split, size):
    rows = embedded.entailment(split)
    assert Counter(row["label"] for row in rows) == {0: size // 2, 1: size // 2}
    assert len({(row["sentence1"], row["sentence2"]) for row in rows}) == size


@pytest.mark.parametrize(("split", "size"), [("train", 2000), ("validation", 250), ("test", 250)])
def test_every_meaning_has_four_different_references(split, size):
    rows = embedded.table_to_text(split)
    assert len({row["mr"] for row in rows}) == size
    assert all(len(set(row["references"])) == 4 for row in rows)


def test_references_name_the_restaurant_of_their_meaning():
    for row in embedded.table_to_text("validation"):
        name = re.match(r"name\[(.+?)\]", row["mr"])[1]
        assert all(name in reference for reference in row["references"])


def test_a_hypothesis_is_entailed_by_one_value_of_its_attribute():
    for row in embedded.entailment("validation"):
        claim = row["sentence2"].rstrip(".")
        slot = next(slot for slot, (_, claims) in embedded.CLAIMS.items() if claim.endswith(claims))
        value = embedded.CLAIMS[slot][0]
        said = any(f" {clause}" in row["sentence1"] for clause in grammar.clauses(slot, value))
        assert said == (row["label"] == 0), row


def test_hypothesis_alone_does_not_solve_entailment():
    counts = {0: Counter(), 1: Counter()}
    for row in embedded.entailment("train"):
        counts[row["label"]].update(set(re.findall(r"\w+", row["sentence2"].lower())))
    totals = counts[0] + counts[1]
    frequent = [word for word in totals if totals[word] > 200]
    assert len(frequent) > 10
    assert all(0.35 < counts[1][word] / totals[word] < 0.65 for word in frequent)


@pytest.fixture(params=["roberta", "gpt2"])
def folder(request):
    return asset_path(request.param)


def test_weights_take_at_most_two_megabytes(folder):
    assert sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= 2_000_000


def test_tokenizer_round_trip(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ("Café Aurora costs about £25.", "name[The Mill], near[St Mary's Church] || ", "中文 \n zebra"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_tokenizer_pads_and_knows_the_models_length(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(["It is a pub.", "It is a pub near Park Hotel."], padding=True, return_tensors="pt")
    assert batch["attention_mask"].sum(dim=1).tolist() == [
        len(tokenizer(t)["input_ids"]) for t in ("It is a pub.", "It is a pub near Park Hotel.")
    ]
    assert tokenizer.model_max_length == 128


def test_roberta_pair_has_its_separators():
    tokenizer = AutoTokenizer.from_pretrained(asset_path("roberta"))
    ids = tokenizer("It is a pub.", "It is an inn.")["input_ids"]
    assert tokenizer.decode(ids) == "<s>It is a pub.</s></s>It is an inn.</s>"


def test_weights_load_in_full_precision_and_untouched_by_a_new_head():
    masked = AutoModelForMaskedLM.from_pretrained(asset_path("roberta"))
    classifier = AutoModelForSequenceClassification.from_pretrained(asset_path("roberta"), num_labels=2)
    assert masked.dtype == classifier.dtype == torch.float32
    assert torch.equal(
        masked.roberta.encoder.layer[3].output.dense.weight,
        classifier.roberta.encoder.layer[3].output.dense.weight,
    )


def test_masked_language_model_is_trained_to_restore_a_text():
    folder = asset_path("roberta")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
    rows = [row for row in embedded.entailment("validation") if row["label"] == 0][:64]
    batch = tokenizer(
        [row["sentence1"] for row in rows], [row["sentence2"] for row in rows], padding=True, return_tensors="pt"
    )
    targets = batch["input_ids"]
    chosen = (torch.rand(targets.shape, generator=torch.Generator().manual_seed(0)) < 0.15) & (targets > 4)
    inputs = targets.masked_fill(chosen, tokenizer.mask_token_id)
    with torch.no_grad():
        logits = model(input_ids=inputs, attention_mask=batch["attention_mask"]).logits
    told = targets > 4
    loss = torch.nn.functional.cross_entropy(logits[told], targets[told])
    assert loss < math.log(model.config.vocab_size) / 3


def test_causal_language_model_is_trained():
    folder = asset_path("gpt2")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    texts = [row["references"][0] for row in embedded.table_to_text("validation")[:64]]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    with torch.no_grad():
        loss = model(**batch, labels=labels).loss
    assert loss < math.log(model.config.vocab_size) / 4
