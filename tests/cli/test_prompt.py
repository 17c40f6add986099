"""A user's own prompts and conversations through whole commands."""

import json

import pytest
import tiny
import torch
from chat_tokenizers import CHATML
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import dylora
from dylora.assets import asset_path
from dylora.backbones import hub_logs
from dylora.cli import main

WORDS = ("pub", "cafe", "bar", "inn")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def chat_backbone(tmp_path_factory):
    """A random Llama with the shipped tokenizer and the marks of ChatML."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = AutoTokenizer.from_pretrained(asset_path("gpt2"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    with hub_logs.quiet():
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def options(tmp_path):
    def build(**changes):
        values = {
            "model": "GenerationModule",
            "data": "PromptDataModule",
            "model.adapter.max_rank": 2,
            "model.max_new_tokens": 4,
            "model.learning_rate": 1e-2,
            "data.train_batch_size": 4,
            "data.eval_batch_size": 4,
            "data.max_length": 64,
            "data.cache_dir": tmp_path / "cache",
            "trainer.max_epochs": 1,
            "trainer.accelerator": "cpu",
            "trainer.enable_progress_bar": "false",
            "trainer.default_root_dir": tmp_path / "logs",
            **changes,
        }
        return [f"--{key}={value}" for key, value in values.items()]

    return build


def test_conversations_are_trained_on_and_answered_at_every_rank(options, chat_backbone, tmp_path, capsys):
    rows = [
        {"messages": [{"role": "user", "content": f"a {word} {n}"}, {"role": "assistant", "content": f"The {word}."}]}
        for n, word in enumerate(WORDS * 5)
    ]
    files = {
        "data.train_file": write(tmp_path / "talks.jsonl", rows),
        "data.test_file": write(tmp_path / "test.jsonl", rows[:3]),
    }
    main(["fit", *options(**files, **{"model.backbone": chat_backbone, "data.messages": "messages"})])
    run = tmp_path / "logs" / "talks" / "version_0"
    metrics = tiny.metrics_of(run)["last"]["metrics"]
    assert {"perplexity", "token_accuracy", "bleu", "rouge_l", "exact_match"} <= set(metrics)
    assert {"1", "2"} <= set(metrics["perplexity"])
    capsys.readouterr()
    main(["test", "--config", str(run / "config.yaml"), "--rank", "1,2"])
    assert "exact_match" in capsys.readouterr().out
    for rank in (1, 2):
        first = tiny.records_of(run / "predictions" / f"rank_{rank}.jsonl")[0]
        assert first["input"] == "<|im_start|>user\na pub 0<|im_end|>\n<|im_start|>assistant\n"
        assert first["references"] == ["The pub."]
        loaded = dylora.load(run, rank)
        assert loaded("a pub 0")["text"] == loaded(rows[0]["messages"][:1])["text"] == first["output"]


def test_packed_pairs_in_a_template_train(options, tmp_path):
    rows = [{"what": word, "text": f"This is a {word}."} for word in WORDS] * 4
    file = write(tmp_path / "own.jsonl", rows)
    changes = {"data.prompt": "Describe: {what}", "data.completion": "{text}", "data.packing": "true"}
    files = {"data.train_file": file, "data.validation_file": file}
    main(["fit", *options(**files, **changes, **{"data.generate_examples": 0})])
    assert tiny.metrics_of(tmp_path / "logs" / "own" / "version_0")["metric"] == "perplexity"


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "qwen2", "gemma", "t5", "bart"])
def test_every_family_learns_pairs_and_writes_at_every_rank(options, make_model, tmp_path, family):
    auto = AutoModelForSeq2SeqLM if family in ("t5", "bart") else AutoModelForCausalLM
    backbone, tokenizer = str(tmp_path / family), AutoTokenizer.from_pretrained(asset_path("gpt2"))
    with hub_logs.quiet():
        make_model(family, auto, vocab_size=len(tokenizer)).save_pretrained(backbone)
        tokenizer.save_pretrained(backbone)
    rows = [{"prompt": f"a {word} {n}", "completion": f"The {word}."} for n, word in enumerate(WORDS * 3)]
    files = {"data.train_file": write(tmp_path / "own.jsonl", rows), "data.max_length": 24}
    main(["fit", *options(**files, **{"model.backbone": backbone, "model.max_new_tokens": 3})])
    metrics = tiny.metrics_of(tmp_path / "logs" / "own" / "version_0")["last"]["metrics"]
    for name in ("perplexity", "token_accuracy", "bleu", "rouge_l", "exact_match"):
        assert {"1", "2"} <= set(metrics[name])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.prompt": "Say {txt}"}, "data.prompt: must be a column of "),
        ({"data.completion": "text"}, "data.completion: must be text with {column} in it"),
        ({"data.messages": "what"}, "own.jsonl, line 1: must be messages of the shape"),
        ({"data.messages": "chat"}, "data.messages: must be a column of "),
        ({"data.max_length": 6}, "own.jsonl, line 1: must be a completion that fits into 6 tokens"),
        ({"data.train_file": "none.jsonl"}, "data.train_file: must be a file"),
        ({"data.train_file": "empty.jsonl"}, "empty.jsonl: must be a file with rows"),
        ({"data.train_on": "all_assistant_turns"}, "data.train_on: must be completion"),
    ],
)
def test_bad_input_is_one_line(options, refused, tmp_path, changes, words):
    file = write(tmp_path / "own.jsonl", [{"what": "a pub", "text": "This is a long text about a pub."}] * 2)
    write(tmp_path / "empty.jsonl", [])
    usual = {
        "data.prompt": "{what}",
        "data.completion": "{text}",
        "data.train_file": file,
        "data.validation_file": file,
    }
    assert words in refused("fit", *options(**{**usual, **changes}))
    assert not list((tmp_path / "logs").rglob("version_*"))


def test_rows_with_a_rank_are_written_at_that_one(options, tmp_path, refused):
    rows = [{"what": word, "text": f"This is a {word}."} for word in WORDS] * 3
    file = write(tmp_path / "own.jsonl", rows)
    templates = {"data.prompt": "Describe: {what}", "data.completion": "{text}", "data.generate_examples": 0}
    main(["fit", *options(**{"data.train_file": file, "data.validation_file": file, **templates})])
    run = tmp_path / "logs" / "own" / "version_0"
    asked = [{"what": WORDS[0], "rank": 2}, {"what": WORDS[1], "rank": 1}, {"what": WORDS[0], "rank": 1}]

    def predicted(rows, name):
        new = write(tmp_path / f"{name}.jsonl", rows)
        out = tmp_path / name
        main(["predict", "--config", str(run / "config.yaml"), "--data.test_file", str(new), "--output", str(out)])
        return tiny.records_of(out / "test.jsonl")

    every = {record["input"]: record["ranks"] for record in predicted([{"what": word} for word in WORDS], "every")}
    own = predicted(asked, "own_ranks")
    assert [list(record["ranks"]) for record in own] == [["2"], ["1"], ["1"]]
    for record in own:
        ((rank, found),) = record["ranks"].items()
        assert found == every[record["input"]][rank]
    for wrong, words in ((9, "rank: must be from 1 to max_rank 2"), ("x", "line 2, rank: must be a whole number")):
        new = write(tmp_path / f"wrong_{wrong}.jsonl", [asked[0], {**asked[1], "rank": wrong}])
        assert words in refused("predict", "--config", run / "config.yaml", "--data.test_file", new)
