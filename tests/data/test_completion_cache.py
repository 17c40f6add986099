"""Rows kept on disk."""

import pytest

from dylora.data import completion_cache
from dylora.data.completion import Row
from dylora.data.completion_cache import encoded

PAIRS = [Row([5, 2, 7, 3], [-100, -100, 7, 3], False), Row([5, 6, 2, 3], [-100, -100, -100, 3], True, True)]


class Maker:
    def __init__(self, rows=PAIRS):
        self.rows = rows
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.rows


def test_columns_of_pairs(tmp_path):
    assert encoded("x", ["a"], Maker(), tmp_path).to_dict() == {
        "input_ids": [[5, 2, 7, 3], [5, 6, 2, 3]],
        "labels": [[-100, -100, 7, 3], [-100, -100, -100, 3]],
        "index": [0, 1],
        "length": [4, 4],
        "truncated": [False, True],
        "cut_text": [False, True],
    }


def test_prompts_have_no_labels_and_a_long_text_counts_as_length(tmp_path):
    prompts = encoded("x", ["a"], Maker([Row([5, 2], [], False)]), tmp_path)
    assert "labels" not in prompts.column_names
    assert encoded("x", ["b"], Maker([Row([5], [7, 8, 3], False)]), tmp_path)["length"][:] == [3]


def test_rows_are_made_once(tmp_path):
    first, second = Maker(), Maker()
    made = encoded("e2e-train", ["a", "b"], first, tmp_path).to_dict()
    assert encoded("e2e-train", ["a", "b"], second, tmp_path).to_dict() == made
    assert (first.calls, second.calls) == (1, 0)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("e2e-train-")


def test_other_parts_or_another_version_are_made_anew(tmp_path, monkeypatch):
    maker = Maker()
    encoded("x", ["a", "b"], maker, tmp_path)
    encoded("x", ["a", "c"], maker, tmp_path)
    monkeypatch.setattr(completion_cache, "FORMAT_VERSION", "2")
    encoded("x", ["a", "b"], maker, tmp_path)
    assert maker.calls == 3


@pytest.mark.parametrize("damage", ["arrow", "state"])
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    encoded("x", ["a"], Maker(), tmp_path)
    (folder,) = tmp_path.iterdir()
    (path,) = folder.glob("*.arrow") if damage == "arrow" else [folder / "state.json"]
    path.write_bytes(path.read_bytes()[:20])
    maker = Maker()
    assert encoded("x", ["a"], maker, tmp_path)["index"][:] == [0, 1]
    assert maker.calls == 1
