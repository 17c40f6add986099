"""Folder and hub as sources of a set."""

from types import SimpleNamespace

import pytest
from datasets import Dataset, DatasetDict

from dylora.data.sources import dart, e2e, webnlg
from dylora.data.sources.text import FolderSource, HubSource, source_for
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError

ROWS = 'mr,ref\n"name[A], food[B]",One\n'


def put(folder, name="trainset.csv", content=ROWS):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)


@pytest.mark.parametrize("inner", ["", "e2e"])
def test_the_folder_is_the_sets_own_or_holds_it(tmp_path, inner):
    put(tmp_path / inner)
    source = source_for(e2e.corpus("official"), str(tmp_path))
    assert isinstance(source, FolderSource)
    assert source.entries("train") == [Entry("name : A | food : B", ("One",))]


def test_the_test_file_with_references_is_preferred(tmp_path):
    source = source_for(e2e.corpus("official"), str(tmp_path))
    put(tmp_path, "testset.csv", "MR\nname[A]\n")
    assert source.entries("test") == [Entry("name : A", ())]
    put(tmp_path, "testset_w_refs.csv", "mr,ref\nname[A],One\n")
    assert source.entries("test") == [Entry("name : A", ("One",))]


def test_the_key_changes_with_the_file_and_the_form(tmp_path):
    put(tmp_path)
    official, respaced = (source_for(e2e.corpus(form), str(tmp_path)) for form in ("official", "respaced"))
    keys = [official.key("train"), respaced.key("train")]
    assert keys == [official.key("train"), respaced.key("train")]
    put(tmp_path, content=ROWS.replace("One", "Two"))
    assert len({*keys, official.key("train"), respaced.key("train")}) == 4


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(InputError) as caught:
        source_for(dart.corpus(), str(tmp_path / "none"))
    assert str(caught.value) == (
        f"data.data_dir: must be an existing folder, got {tmp_path}/none; give the folder of the dart files"
    )


def test_a_missing_file_is_told_when_it_is_needed(tmp_path):
    source = source_for(dart.corpus(), str(tmp_path))
    with pytest.raises(
        InputError, match=r"dart-v1\.1\.1-full-train\.json: must be an existing file, got a folder with "
    ):
        source.key("train")


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        (e2e.corpus("official"), "tuetschek/e2e_nlg"),
        (webnlg.corpus(), "webnlg-challenge/web_nlg"),
        (dart.corpus(), "GEM/dart"),
    ],
)
def test_without_a_network_the_hub_is_told_in_one_line(corpus, name, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach it\non the Hub")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(InputError) as caught:
        source_for(corpus, None).entries("test")
    assert str(caught.value) == (
        f"data.data_dir: must be a folder where {name} cannot be loaded from the hub or its cache, got null; give the "
        "official files with --data.data_dir DIR or fill the Hugging Face cache on a machine with a network and set "
        "HF_HUB_OFFLINE=1"
    )


def hub_with(monkeypatch, **splits):
    calls = []

    def load(*args, **kwargs):
        calls.append(SimpleNamespace(args=args, kwargs=kwargs))
        return DatasetDict({name: Dataset.from_list(rows) for name, rows in splits.items()})

    monkeypatch.setattr("datasets.load_dataset", load)
    return calls


def test_the_hubs_own_copy_is_asked_for_once(monkeypatch):
    rows = [{"meaning_representation": "name[A]", "human_reference": "One"}]
    calls = hub_with(monkeypatch, train=rows, test=rows)
    source = HubSource(e2e.corpus("official"))
    assert source.entries("train") == source.entries("test") == [Entry("name : A", ("One",))]
    assert [(call.args, call.kwargs) for call in calls] == [
        (("tuetschek/e2e_nlg", None), {"data_dir": "default", "revision": "refs/convert/parquet"})
    ]


def test_keys_of_the_hub_tell_splits_and_forms_apart(monkeypatch):
    rows = [{"meaning_representation": "name[A]", "human_reference": "One"}]
    hub_with(monkeypatch, train=rows, test=rows)
    official, respaced = HubSource(e2e.corpus("official")), HubSource(e2e.corpus("respaced"))
    assert len({source.key(split) for source in (official, respaced) for split in ("train", "test")}) == 4


def test_rows_that_do_not_belong_to_the_split_are_left_out(monkeypatch):
    row = {
        "category": "City",
        "test_category": "testdata_with_lex",
        "modified_triple_sets": {"mtriple_set": [["A | b | C"]]},
        "lex": {"comment": ["good"], "text": ["a"]},
    }
    hub_with(monkeypatch, test=[row, {**row, "test_category": "testdata_no_lex"}])
    assert HubSource(webnlg.corpus()).entries("test") == [Entry("A : b : C", ("a",), {"category": "City", "seen": "S"})]


def test_other_columns_and_a_missing_split_are_told(monkeypatch):
    hub_with(monkeypatch, train=[{"mr": "name[A]"}])
    source = HubSource(e2e.corpus("official"))
    with pytest.raises(InputError, match=r"^tuetschek/e2e_nlg: must be rows of the known columns, got KeyError: "):
        source.entries("train")
    with pytest.raises(InputError, match=r"must be a split that tuetschek/e2e_nlg has \(train\), got test; give the"):
        source.entries("test")
