"""Tokenising once, and a cache that never gives what was not asked for."""

import shutil
from pathlib import Path

import pytest
from datasets import Dataset, are_progress_bars_disabled
from transformers import AutoTokenizer

from dylora.data import token_cache
from dylora.data.token_cache import default_cache_dir, token_limit, tokenised
from dylora.errors import InputError

ROWS = {
    "index": [0, 1, 2],
    "a": ["w0 w1", "w2 w3 w4 w5", "w6"],
    "b": ["w7", "w8 w9 w10", "w11"],
    "labels": [1, 0, 1],
}


class Reader:
    """Gives the rows and counts how often it was asked."""

    def __init__(self, rows=None):
        self.rows = rows or ROWS
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return Dataset.from_dict(self.rows)


@pytest.fixture
def tokenizer(word_tokenizer):
    return AutoTokenizer.from_pretrained(word_tokenizer)


def make(tokenizer, cache_dir, read=None, key="k", fields=("a", "b"), max_length=512):
    return tokenised("rte-train", key, read or Reader(), fields, tokenizer, max_length, cache_dir)


def test_pairs_are_tokenised_and_keep_their_other_columns(tokenizer, tmp_path):
    made = make(tokenizer, tmp_path)
    assert made["input_ids"][:] == [[2, 4, 5, 3, 11, 3], [2, 6, 7, 8, 9, 3, 12, 13, 14, 3], [2, 10, 3, 15, 3]]
    assert made["attention_mask"][0] == [1] * 6
    assert made["length"][:] == [6, 10, 5]
    assert made["truncated"][:] == [False, False, False]
    assert made["index"][:] == [0, 1, 2]
    assert made["labels"][:] == [1, 0, 1]
    assert not {"a", "b"} & set(made.column_names)


def test_single_sentences_are_tokenised(tokenizer, tmp_path):
    assert make(tokenizer, tmp_path, fields=("a",))["input_ids"][0] == [2, 4, 5, 3]


def test_rows_are_cut_at_max_length_the_longer_sentence_first(tokenizer, tmp_path):
    made = make(tokenizer, tmp_path, max_length=7)
    assert made["input_ids"][:] == [[2, 4, 5, 3, 11, 3], [2, 6, 7, 3, 12, 13, 3], [2, 10, 3, 15, 3]]
    assert made["truncated"][:] == [False, True, False]


def test_the_tokenizers_own_limit_counts_if_it_is_lower(tokenizer):
    assert token_limit(tokenizer, 512, 2) == 512
    tokenizer.model_max_length = 128
    assert token_limit(tokenizer, 512, 2) == 128
    assert token_limit(tokenizer, 64, 2) == 64


@pytest.mark.parametrize(("sentences", "least"), [(1, 3), (2, 5)])
def test_max_length_without_room_for_text_is_refused(tokenizer, sentences, least):
    assert token_limit(tokenizer, least, sentences) == least
    with pytest.raises(InputError, match=rf"data.max_length: must be at least {least}, got {least - 1};"):
        token_limit(tokenizer, least - 1, sentences)


def test_the_second_time_comes_from_the_cache(tokenizer, tmp_path):
    read = Reader()
    first = make(tokenizer, tmp_path, read)
    second = make(tokenizer, tmp_path, read)
    assert read.calls == 1
    assert first.to_dict() == second.to_dict()
    assert [path.name[:10] for path in tmp_path.iterdir()] == ["rte-train-"]


def test_whatever_changes_the_result_changes_the_place(tokenizer, tmp_path, monkeypatch):
    read = Reader()
    make(tokenizer, tmp_path, read)
    make(tokenizer, tmp_path, read, key="other content")
    make(tokenizer, tmp_path, read, max_length=7)
    make(tokenizer, tmp_path, read, fields=("b", "a"))
    tokenizer.add_tokens(["w100"])
    make(tokenizer, tmp_path, read)
    monkeypatch.setattr(token_cache, "FORMAT_VERSION", "2")
    make(tokenizer, tmp_path, read)
    assert read.calls == 6
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("damage", ["truncated", "no state", "no json", "empty folder", "other columns"])
def test_a_damaged_cache_is_made_anew(tokenizer, tmp_path, damage):
    expected = make(tokenizer, tmp_path).to_dict()
    (folder,) = tmp_path.iterdir()
    (arrow,) = folder.glob("*.arrow")
    if damage == "truncated":
        arrow.write_bytes(arrow.read_bytes()[:300])
    elif damage == "no state":
        (folder / "state.json").unlink()
    elif damage == "no json":
        (folder / "dataset_info.json").write_text("{")
    elif damage == "empty folder":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        shutil.rmtree(folder)
        Dataset.from_dict({"x": [1]}).save_to_disk(folder)
    read = Reader()
    assert make(tokenizer, tmp_path, read).to_dict() == expected
    assert read.calls == 1
    make(tokenizer, tmp_path, read)
    assert read.calls == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_another_process_that_was_faster_does_no_harm(tokenizer, tmp_path):
    def read():
        make(tokenizer, tmp_path)  # While this process reads, the other one finishes.
        return Dataset.from_dict(ROWS)

    assert make(tokenizer, tmp_path, read)["length"][:] == [6, 10, 5]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_leaves_nothing_behind(tokenizer, tmp_path, monkeypatch):
    def full(dataset, path):
        Path(path).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Dataset, "save_to_disk", full)
    with pytest.raises(InputError, match=r"data.cache_dir: .* \(No space left on device\)"):
        make(tokenizer, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_is_named(tokenizer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        make(tokenizer, tmp_path / "file" / "cache")
    assert str(caught.value) == (
        f"data.cache_dir: must be a folder that can be written, got {tmp_path}/file/cache; "
        "(Not a directory) give another one with --data.cache_dir"
    )


def test_no_progress_bars(tokenizer, tmp_path, capfd):
    make(tokenizer, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not are_progress_bars_disabled()


def test_default_folder_follows_xdg(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/dylora")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache_dir() == Path("/home/someone/.cache/dylora")
