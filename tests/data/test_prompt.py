"""A user's own prompts as batches, for decoders and encoder-decoder models, token by token."""

import csv
import json

import pytest
from chat_tokenizers import CHATML, chat_tokenizer
from datasets import Dataset
from word_tokenizers import BEGIN, END, save_backbone, word_tokenizer

from dylora.data import table_to_text
from dylora.data.prompt import PromptDataModule
from dylora.errors import InputError

PAIRS = [("w1 w2", "w3"), ("w4", "w5 w6"), ("w1 w2", "w7"), ("w8 w9 w10", "w11")]
T5 = {"model_type": "t5", "is_encoder_decoder": True}


@pytest.fixture
def backbone(tmp_path):
    return save_backbone(tmp_path / "backbone", word_tokenizer(), n_positions=64)


@pytest.fixture
def chat_backbone(tmp_path):
    return save_backbone(tmp_path / "chat_backbone", chat_tokenizer(CHATML), n_positions=64)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_pairs(path, pairs=PAIRS, names=("prompt", "completion")):
    return write(path, [dict(zip(names, pair, strict=True)) for pair in pairs])


def conversation(*texts):
    roles = ("user", "assistant")
    return {"talk": [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]}


def module(backbone, tmp_path, **options):
    values = {"train_batch_size": 8, "eval_batch_size": 8, "cache_dir": str(tmp_path / "cache"), "max_length": 32}
    made = PromptDataModule(backbone=backbone, **{**values, **options})
    made.prepare_data()
    return made


def training_batch(data):
    data.setup("fit")
    (batch,) = data.train_dataloader()
    order = batch["index"].argsort()
    return {name: values[order].tolist() for name, values in batch.items()}


def test_the_loss_counts_the_completion_and_its_end(backbone, tmp_path):
    file = write_pairs(tmp_path / "own.jsonl")
    batch = training_batch(module(backbone, tmp_path, train_file=file, validation_file=file))
    assert batch["input_ids"][0] == [5, 6, BEGIN, 7, END, 0]
    assert batch["labels"][0] == [-100, -100, -100, 7, END, -100]
    assert batch["attention_mask"][0] == [1, 1, 1, 1, 1, 0]
    assert batch["labels"][1] == [-100, -100, 9, 10, END, -100]


def test_an_encoder_decoder_model_gets_prompt_and_completion_apart(tmp_path):
    backbone = save_backbone(tmp_path / "t5", word_tokenizer("$A </s>"), **T5)
    file = write_pairs(tmp_path / "own.jsonl")
    batch = training_batch(module(backbone, tmp_path, train_file=file, validation_file=file))
    assert (batch["input_ids"][0], batch["labels"][0]) == ([5, 6, END, 0], [7, END, -100])


def test_templates_name_other_columns(backbone, tmp_path):
    file = write_pairs(tmp_path / "own.jsonl", names=("question", "answer"))
    data = module(
        backbone, tmp_path, train_file=file, validation_file=file, prompt="w0 {question}", completion="{answer} w99"
    )
    batch = training_batch(data)
    assert batch["input_ids"][0] == [4, 5, 6, BEGIN, 7, 103, END, 0]


def test_prompts_to_generate_from_are_items_with_all_their_references(backbone, tmp_path):
    file = write_pairs(tmp_path / "own.jsonl")
    data = module(backbone, tmp_path, train_file=file, validation_file=file)
    data.setup("validate")
    _, prompts = data.val_dataloader()
    (batch,) = prompts
    assert [(item.source, item.references) for item in data.items("validation")] == [
        ("w1 w2", ("w3", "w7")),
        ("w4", ("w5 w6",)),
        ("w8 w9 w10", ("w11",)),
    ]
    order = batch["index"].argsort()
    assert batch["input_ids"][order].tolist() == [[0, 5, 6, BEGIN], [0, 0, 8, BEGIN], [12, 13, 14, BEGIN]]
    assert data.end_ids == (END,)
    assert (data.task_name, data.run_name) == ("prompts", "own")


def test_every_kind_of_file_gives_the_same_rows(backbone, tmp_path):
    names = ("prompt", "completion")
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *PAIRS])
    with (tmp_path / "a.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([names, *PAIRS])
    write_pairs(tmp_path / "a.jsonl")
    prompts, completions = zip(*PAIRS, strict=True)
    columns = {"prompt": list(prompts), "completion": list(completions)}
    Dataset.from_dict(columns).to_parquet(str(tmp_path / "a.parquet"))
    files = [str(tmp_path / f"a.{ending}") for ending in ("csv", "tsv", "jsonl", "parquet")]
    first, *others = [
        training_batch(module(backbone, tmp_path, train_file=file, validation_file=files[0])) for file in files
    ]
    assert len(first["input_ids"]) == len(PAIRS)
    assert all(other == first for other in others)


def test_conversations_count_the_last_answer_or_all(chat_backbone, tmp_path):
    rows = [conversation("w1", "w2", "w3", "w4"), conversation("w5", "w6")]
    file = write(tmp_path / "talks.jsonl", rows)
    last, every = (
        training_batch(
            module(chat_backbone, tmp_path, train_file=file, validation_file=file, messages="talk", train_on=train_on)
        )
        for train_on in ("completion", "all_assistant_turns")
    )
    assert last["input_ids"] == every["input_ids"]
    assert last["input_ids"][0] == [104, 109, 5, 105, 104, 110, 6, 105, 104, 109, 7, 105, 104, 110, 8, 105]
    assert last["labels"][0] == [-100] * 14 + [8, 105]
    assert every["labels"][0] == [-100] * 6 + [6, 105] + [-100] * 6 + [8, 105]
    assert last["labels"][1] == [-100] * 6 + [10, 105] + [-100] * 8


def test_prompts_of_conversations_end_where_the_answer_begins(chat_backbone, tmp_path):
    rows = [conversation("w1", "w2"), conversation("w1", "w3"), conversation("w4", "w5", "w6")]
    file, test = write(tmp_path / "talks.jsonl", rows[:2]), write(tmp_path / "test.jsonl", rows)
    data = module(chat_backbone, tmp_path, train_file=file, validation_file=file, test_file=test, messages="talk")
    data.setup("test")
    assert [item.references for item in data.items("test")] == [("w2", "w3"), ()]
    ((batch,),) = data.test_dataloader()
    assert batch["input_ids"][-1].tolist()[-6:] == [104, 109, 5, 105, 104, 110]
    assert data.end_ids == (END, 105)


def test_packed_rows_hold_the_same_tokens_and_begin_their_places_anew(backbone, tmp_path):
    file = write_pairs(tmp_path / "own.jsonl")
    data = module(backbone, tmp_path, train_file=file, validation_file=file, max_length=12, packing=True)
    batch = training_batch(data)
    rows = [[5, 6, BEGIN, 7, END], [8, BEGIN, 9, 10, END], [5, 6, BEGIN, 11, END], [12, 13, 14, BEGIN, 15, END]]
    assert batch["input_ids"] == [[*rows[0], *rows[1], 0], [*rows[2], *rows[3]]]
    assert batch["position_ids"] == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5]]
    assert batch["labels"][0] == [-100, -100, -100, 7, END, -100, -100, 9, 10, END, -100]
    data.setup("validate")
    assert "position_ids" not in next(iter(data.val_dataloader()[0]))


def test_what_was_cut_and_packed_is_told(backbone, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("dylora.data.table_to_text.rank_zero_info", said.append)
    monkeypatch.setattr("dylora.data.prompt.rank_zero_info", said.append)
    file = write_pairs(tmp_path / "own.jsonl", [("w1 w2 w3 w4 w5 w6", "w7"), ("w1", "w2")])
    options = {"train_file": file, "validation_file": file, "max_length": 12, "max_context": 4}
    module(backbone, tmp_path, **options).setup("fit")
    assert said[0] == "own train: cut 1 of 2 prompts to their last 4 tokens"
    said.clear()
    module(backbone, tmp_path, **options, packing=True).setup("fit")
    assert said[:2] == [
        "own train: packed 2 rows into 1 of up to 12 tokens",
        "own train: cut 1 of 2 prompts to their last 4 tokens",
    ]


@pytest.mark.parametrize("chat", [False, True])
def test_a_completion_that_does_not_fit_is_refused_with_its_row(backbone, chat_backbone, tmp_path, chat):
    long = " ".join(["w1"] * 40)
    if chat:
        file = write(tmp_path / "own.jsonl", [conversation("w1", "w2"), conversation("w1", long)])
        options = {"backbone": chat_backbone, "messages": "talk"}
    else:
        file, options = write_pairs(tmp_path / "own.jsonl", [("w1", "w2"), ("w1", long)]), {"backbone": backbone}
    words = (
        r"own.jsonl, line 2: must be a completion that fits into 32 tokens, .* got one of 40 tokens; raise --data.max_l"
    )
    with pytest.raises(InputError, match=words):
        module(tmp_path=tmp_path, train_file=file, validation_file=file, **options)


def test_options_that_exclude_each_other(backbone, tmp_path):
    file = write_pairs(tmp_path / "own.jsonl")
    with pytest.raises(InputError, match=r"data.train_on: must be completion where there are no conversations"):
        PromptDataModule(train_file=file, train_on="all_assistant_turns")
    t5 = save_backbone(tmp_path / "t5", chat_tokenizer(CHATML), **T5)
    with pytest.raises(InputError, match=r"data.packing: must be left out for an encoder-decoder model"):
        module(t5, tmp_path, train_file=file, validation_file=file, packing=True)
    talks = write(tmp_path / "talks.jsonl", [conversation("w1", "w2")])
    with pytest.raises(InputError, match=r"data.messages: must be left out for an encoder-decoder model"):
        module(t5, tmp_path, train_file=talks, validation_file=talks, messages="talk")


def test_a_backbone_without_a_chat_template(backbone, tmp_path):
    file = write(tmp_path / "talks.jsonl", [conversation("w1", "w2")])
    with pytest.raises(InputError, match=r"data.messages: must be left out for a backbone whose tokenizer has no chat"):
        module(backbone, tmp_path, train_file=file, validation_file=file, messages="talk")


def test_an_item_without_a_reference_among_others_is_told(backbone, tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr(table_to_text, "rank_zero_info", notes.append)
    file = write_pairs(tmp_path / "own.jsonl")
    test = write(tmp_path / "test.jsonl", [{"prompt": "w1", "completion": "w2"}, {"prompt": "w3", "completion": ""}])
    module(backbone, tmp_path, train_file=file, validation_file=file, test_file=test).setup("test")
    assert notes == ["own test: 1 of 2 items have no reference and are not scored, the first of them is item 2"]


def test_the_test_stage_asks_for_references_and_predict_does_not(backbone, tmp_path):
    file = write_pairs(tmp_path / "own.jsonl")
    test = write(tmp_path / "test.jsonl", [{"prompt": "w1"}])
    data = module(backbone, tmp_path, train_file=file, validation_file=file, test_file=test)
    with pytest.raises(InputError, match=r"test: must be predict where the test file has no references"):
        data.setup("test")
    data.setup("predict")
    ((batch,),) = data.predict_dataloader()
    assert batch["input_ids"].tolist() == [[5, BEGIN]]
