"""A user's own texts: classes and scores, splits, columns, bad values."""

import json
from collections import Counter

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from dylora.data.base import Part
from dylora.data.sources import hub_table
from dylora.data.sources.holdout import Holdout, held_out_rows
from dylora.data.sources.hub_table import HubSet
from dylora.data.text_classification import TextClassificationDataModule
from dylora.errors import InputError


@pytest.fixture
def make(word_tokenizer, tmp_path, monkeypatch):
    """A module of files given by their contents; `x.jsonl` is written from rows."""
    monkeypatch.chdir(tmp_path)

    def module(train=None, validation=None, **options):
        for name, rows in (("train", train), ("validation", validation)):
            if rows is not None:
                (tmp_path / f"my_{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
                options[f"{name}_file"] = f"my_{name}.jsonl"
        given = {"backbone": str(word_tokenizer), "cache_dir": str(tmp_path / "cache")}
        return TextClassificationDataModule(**(given | options))

    return module


def rows(*labels, **columns):
    return [{"text": f"w{place} w1", "label": label, **columns} for place, label in enumerate(labels)]


def test_classes_are_those_of_the_training_rows_in_order(make):
    assert make(rows("b", "c", "a", "b")).labels == ["a", "b", "c"]
    assert make(rows(10, 9, 2)).labels == ["2", "9", "10"]
    assert make(rows("a", "b"), labels=["b", "a"]).labels == ["b", "a"]
    assert make(rows(0.5, 1), task_type="regression").labels == []


def test_batches_have_the_tokens_and_class_ids_of_the_rows(make):
    module = make(rows("b", "a", "b"), rows("a"))
    module.setup("fit")
    (batch,) = module.train_dataloader()
    found = {
        int(i): (ids.tolist(), int(y))
        for i, ids, y in zip(batch["index"], batch["input_ids"], batch["labels"], strict=True)
    }
    # [CLS] w0 w1 [SEP]: w0 is 4 and so on
    assert found == {0: ([2, 4, 5, 3], 1), 1: ([2, 5, 5, 3], 0), 2: ([2, 6, 5, 3], 1)}
    (batch,) = module.val_dataloader()[0]
    assert batch["labels"].tolist() == [0]


def test_pairs_are_found_by_their_usual_names_or_given(make):
    train = [{"premise": "w0", "hypothesis": "w1", "label": place % 2, "text": "w9"} for place in range(4)]
    for options in ({}, {"text_columns": ["premise", "hypothesis"]}):
        module = make(train, train, **options)
        module.setup("validate")
        (batch,) = module.val_dataloader()[0]
        assert batch["input_ids"][0].tolist() == [2, 4, 3, 5, 3]
    module = make(train, train, text_columns="hypothesis")
    module.setup("validate")
    assert next(iter(module.val_dataloader()[0]))["input_ids"][0].tolist() == [2, 5, 3]


def test_scores_are_numbers(make):
    module = make(rows(0.5, "2"), rows(-1), task_type="regression")
    module.setup("fit")
    (batch,) = module.train_dataloader()
    assert sorted(batch["labels"].tolist()) == [0.5, 2.0]


def test_without_a_validation_file_a_share_of_each_class_is_held_out(make):
    train = rows(*["a"] * 40, *["b"] * 20)
    module = make(train, validation_share=0.25)
    module.setup("fit")
    trained, held = (module.rows(Part(split)) for split in ("train", "validation"))
    assert Counter(held["labels"][:]) == {0: 10, 1: 5}
    assert sorted([*trained["index"][:], *held["index"][:]]) == list(range(60))
    again = make(train, validation_share=0.25, seed=3)  # the seed of the run is another matter
    again.setup("validate")
    assert again.rows(Part("validation"))["index"][:] == held["index"][:]
    other = make(train, validation_share=0.25, split_seed=3)
    other.setup("validate")
    assert other.rows(Part("validation"))["index"][:] != held["index"][:]


def test_a_class_keeps_a_row_to_train_on():
    assert held_out_rows([0, 1, 1], Holdout(0.9, 1)) in ([1], [2])


def test_predict_takes_the_first_of_its_file_the_test_file_and_validation(make, tmp_path):
    def split(**options):
        return make(rows("a", "b"), rows("a"), **options).parts("predict")

    assert split() == (Part("validation"),)
    assert split(test_file="t.csv") == (Part("test"),)
    assert split(test_file="t.csv", predict_file="p.csv") == (Part("predict"),)
    (tmp_path / "p.csv").write_text("text\nw1\n")
    module = make(rows("a", "b"), predict_file="p.csv")
    module.setup("predict")
    assert "labels" not in module.rows(Part("predict")).column_names


def test_with_labels_given_validation_needs_no_training_file(make):
    module = make(validation=rows("b"), train_file="gone.csv", labels=["a", "b"])
    module.setup("validate")
    assert module.rows(Part("validation"))["labels"][:] == [1]


def test_the_name_is_the_files_and_never_one_of_glue(make):
    assert make(rows("a", "b")).name == make(rows("a", "b")).task_spec.name == "my_train"
    assert make(train_file="reviews/train.csv").name == "reviews"
    assert make(train_file="sst2.csv").name == "sst2-data"
    assert make(hub=HubSet("someone/imdb")).name == "imdb"
    assert make(rows("a", "b"), name="own").run_name == "own"


@pytest.mark.parametrize(
    ("train", "validation", "options", "words"),
    [
        (rows("a", "a"), None, {}, r"my_train\.jsonl: must be rows of two classes or more in 'label', got 'a' alone"),
        (rows("a", "b"), rows("a", "c"), {}, r"my_validation\.jsonl, line 2: must be one of the classes a, b, got 'c'"),
        (
            rows(1, 0.5),
            None,
            {},
            r"my_train\.jsonl, line 2: must be a class in column 'label', got the number 0.5; .* reg",
        ),
        (rows("0", "1.0"), None, {}, r"line 2: must be a class in column 'label', got the number 1.0"),
        (rows("a", None), None, {}, r"line 2: must be a class in column 'label', got nothing"),
        (rows(1, "much"), None, {"task_type": "regression"}, r"line 2: must be a number in column 'label', got 'much'"),
        (rows(1, "nan"), None, {"task_type": "regression"}, r"line 2: must be a number in column 'label', got 'nan'"),
        (
            rows("a", "b"),
            None,
            {"label_column": "y"},
            r"data.label_column: must be a column of .* \(text, label\), got 'y'",
        ),
        (
            rows("a", "b"),
            None,
            {"text_columns": "t"},
            r"data.text_columns: must be a column of .* \(text, label\), got 't'",
        ),
        ([{"t": "w1", "label": "a"}, {"t": "w1", "label": "b"}], None, {}, r"data.text_columns: .* which has t, label"),
        (
            [{"text": "w1", "label": "a"}, {"label": "b"}],
            None,
            {},
            r"line 2: must be text in column 'text', got nothing",
        ),
        ([{"text": 3, "label": "a"}, {"text": "w", "label": "b"}], None, {}, r"line 1: must be text .*, got 3, a int"),
        (rows("a", "b"), None, {}, r"data.validation_share: must be a share that is a row or more of the 2 in"),
        (rows("a", "b"), None, {"validation_share": 1.0}, r"data.validation_share: must be inside \(0, 1\), got 1.0"),
        (
            rows("a", "b"),
            None,
            {"text_columns": ["a", "b", "c"]},
            r"data.text_columns: must be the names of one or two",
        ),
        (rows("a", "b"), None, {"hub": HubSet("x")}, r"data.train_file: must be left out with --data.hub"),
        (rows("a", "b"), None, {"name": "a/b"}, r"data.name: must be a name of a folder, got 'a/b'"),
        (None, None, {}, r"data.train_file: must be a file \(.csv"),
    ],
)
def test_bad_input_is_told_with_its_place(make, train, validation, options, words):
    with pytest.raises(InputError, match=words):
        make(train, validation, **options).setup("fit")


def test_a_hub_set_gives_its_class_names(make, monkeypatch):
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    columns = {"sentence": ["w1", "w2"], "label": [1, 0]}
    data = DatasetDict({split: Dataset.from_dict(columns, features) for split in ("train", "dev")})
    monkeypatch.setattr(hub_table, "load_from_hub", lambda name, files, configuration: data)
    module = make(hub=HubSet("someone/set", "small", validation="dev", test=None))
    module.setup("fit")
    assert module.labels == ["no", "yes"]
    assert module.rows(Part("train"))["labels"][:] == [1, 0]
    with pytest.raises(InputError, match=r"data.hub: must be a split of someone/set \(train, dev\), got 'validation'"):
        make(hub=HubSet("someone/set")).setup("validate")


def test_a_hub_set_that_cannot_be_reached(make):
    with pytest.raises(InputError, match=r"data.hub.name: must be a set that the hub or its cache has, got no/where"):
        make(hub=HubSet("no/where")).setup("fit")


def test_rows_to_predict_keep_a_rank_of_their_own(make, tmp_path):
    (tmp_path / "p.jsonl").write_text('{"text": "w1 w2", "rank": 3}\n{"text": "w3", "rank": 1}\n')
    module = make(rows("a", "b"), predict_file="p.jsonl")
    module.setup("predict")
    (batch,) = module.predict_dataloader()[0]
    assert dict(zip(batch["index"].tolist(), batch["rank"].tolist(), strict=True)) == {0: 3, 1: 1}
    (tmp_path / "q.jsonl").write_text('{"text": "w1 w2", "rank": 3}\n{"text": "w3", "rank": "half"}\n')
    module = make(rows("a", "b"), predict_file="q.jsonl")
    with pytest.raises(InputError, match=r"q\.jsonl, line 2, rank: must be a whole number from 1, got 'half'"):
        module.setup("predict")
