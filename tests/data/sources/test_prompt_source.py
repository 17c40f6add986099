"""Splits of a user's own prompts, from files or the hub."""

import json

import pytest

from dylora.data.sources.hub_table import HubSet
from dylora.data.sources.prompt_source import PromptSource
from dylora.data.sources.prompts import TemplateReader
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError

READER = TemplateReader("{prompt}", "{completion}")


def write(path, pairs):
    lines = (json.dumps({"prompt": prompt, "completion": completion}) for prompt, completion in pairs)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def source(files, **options):
    return PromptSource(files, None, READER, **options)


def test_each_split_has_its_file(tmp_path):
    files = {name: write(tmp_path / f"{name}.jsonl", [(name, "y")]) for name in ("train", "validation", "test")}
    for name in files:
        assert source(files).entries(name) == [Entry(name, ("y",))]
    assert source(files).full_name == "train"


def test_a_share_of_the_prompts_is_split_off_whole(tmp_path):
    pairs = [(f"p{number % 20}", f"c{number}") for number in range(60)]
    files = {"train": write(tmp_path / "own.jsonl", pairs)}
    found = source(files, share=0.25)
    train, validation = found.entries("train"), found.entries("validation")
    assert len({entry.source for entry in validation}) == 5
    assert not {entry.source for entry in train} & {entry.source for entry in validation}
    assert sorted((entry.source, *entry.texts) for entry in train + validation) == sorted(pairs)
    assert source(files, share=0.25).entries("validation") == validation
    assert source(files, share=0.25, seed=11).entries("validation") != validation


def test_the_key_is_that_of_the_rows(tmp_path):
    first = {"train": write(tmp_path / "a.jsonl", [("x", "y"), ("z", "y")])}
    second = {"train": write(tmp_path / "b.jsonl", [("x", "y"), ("z", "w")])}
    keys = [source({**files, "validation": files["train"]}).key("train") for files in (first, first, second)]
    assert keys[0] == keys[1] != keys[2]


def test_one_prompt_cannot_be_split(tmp_path):
    files = {"train": write(tmp_path / "own.jsonl", [("x", "y"), ("x", "z")])}
    with pytest.raises(InputError, match=r"data.validation_file: must be a file where .* with 1 different prompts"):
        source(files).entries("train")


def test_a_split_without_a_file(tmp_path):
    files = {"test": write(tmp_path / "own.jsonl", [("x", "y")])}
    with pytest.raises(
        InputError, match=r"data.train_file: must be a file where the train rows are asked for, got non"
    ):
        source(files).entries("train")


def test_files_or_the_hub():
    for files, hub in (({}, None), ({"train": "x"}, HubSet("someone/some"))):
        with pytest.raises(InputError, match=r"data.train_file: must be either files or a set on the hub"):
            PromptSource(files, hub, READER)
    with pytest.raises(InputError, match=r"data.hub.name: must be a set that the hub or its cache has"):
        PromptSource({}, HubSet("someone/some"), READER).entries("train")


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_out_of_range(share):
    with pytest.raises(InputError, match=r"data.validation_share: must be above 0 and below 1"):
        source({"train": "x"}, share=share)
