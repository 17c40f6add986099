"""Rows from the package, a folder and the hub come in one shape."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from dylora.data.sources import glue
from dylora.data.sources.glue import EmbeddedSource, FolderSource, HubSource, source_for
from dylora.errors import InputError
from dylora.tasks import get_task

RTE_HEADER = "index\tsentence1\tsentence2\tlabel\n"


def hub_split(rows, label):
    features = Features(
        {"sentence1": Value("string"), "sentence2": Value("string"), "label": label, "idx": Value("int32")}
    )
    return Dataset.from_dict(rows, features=features)


def hub_data(label, labels, unknown):
    rows = {"sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": labels, "idx": [0, 1]}
    labelled = hub_split(rows, label)
    unlabelled = hub_split({**rows, "label": [unknown, unknown]}, label)
    return DatasetDict({"train": labelled, "validation": labelled, "test": unlabelled})


@pytest.fixture
def hub(monkeypatch):
    asked = []

    def load(*args):
        asked.append(args)
        if args[1] == "stsb":
            return hub_data(Value("float32"), [3.5, 0.0], -1.0)
        return hub_data(ClassLabel(names=["entailment", "not_entailment"]), [1, 0], -1)

    monkeypatch.setattr("datasets.load_dataset", load)
    return asked


def test_the_embedded_set_has_labels_in_every_split():
    source = source_for(get_task("restaurants"), None)
    assert isinstance(source, EmbeddedSource)
    for split, size in (("train", 4000), ("validation", 500), ("test", 500)):
        rows = source.rows(split)
        assert rows["index"][:] == list(range(size))
        assert set(rows["labels"]) == {0, 1}
        assert set(rows.column_names) == {"index", "sentence1", "sentence2", "labels"}
    assert len({source.key(split) for split in source.splits()}) == 3


def test_the_embedded_set_takes_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"data.data_dir: must be null for the embedded task restaurants, got"):
        source_for(get_task("restaurants"), str(tmp_path))


def test_a_folder_gives_rows_and_notices_a_changed_file(tmp_path):
    (tmp_path / "train.tsv").write_text(f"{RTE_HEADER}0\ta\tb\tnot_entailment\n")
    source = source_for(get_task("rte"), str(tmp_path))
    assert isinstance(source, FolderSource)
    assert source.splits() == ("train",)
    assert source.rows("train").to_dict() == {"index": [0], "sentence1": ["a"], "sentence2": ["b"], "labels": [1]}
    before = source.key("train")
    assert source_for(get_task("rte"), str(tmp_path)).key("train") == before
    (tmp_path / "train.tsv").write_text(f"{RTE_HEADER}0\ta\tb\tentailment\n")
    assert source.key("train") != before


def test_the_same_file_is_another_thing_to_another_task(tmp_path):
    (tmp_path / "train.tsv").write_text("index\tsentence1\tsentence2\tlabel\tscore\n0\ta\tb\tentailment\t1.0\n")
    assert len({source_for(get_task(task), str(tmp_path)).key("train") for task in ("rte", "stsb")}) == 2


def test_a_missing_folder_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match=r"data.data_dir: must be an existing folder"):
        source_for(get_task("rte"), str(tmp_path / "nowhere"))


def test_left_out_lines_are_told(tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr(glue, "rank_zero_info", notes.append)
    rows = [f"{i}\t1\t2\tq\tr\t0\n" for i in range(1500)]
    rows.insert(7, "7\t1\t2\tq\n")
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    (tmp_path / "train.tsv").write_text(header + "".join(rows))
    assert len(source_for(get_task("qqp"), str(tmp_path)).rows("train")) == 1500
    assert notes == [f"{tmp_path}/train.tsv: left out 1 line with too few columns, a known fault of the first release"]


def test_the_hub_gives_labels_where_they_are_known(hub):
    source = source_for(get_task("rte"), None)
    assert isinstance(source, HubSource)
    assert hub == []  # Nothing is loaded before it is needed.
    assert source.rows("train").to_dict() == {
        "index": [0, 1],
        "sentence1": ["a", "c"],
        "sentence2": ["b", "d"],
        "labels": [1, 0],
    }
    assert set(source.rows("test").column_names) == {"index", "sentence1", "sentence2"}
    assert hub == [("nyu-mll/glue", "rte")]


def test_the_hub_gives_scores(hub):
    source = source_for(get_task("stsb"), None)
    assert source.rows("validation")["labels"][:] == [3.5, 0.0]
    assert "labels" not in source.rows("test").column_names


def test_the_hubs_splits_have_keys_of_their_own(hub):
    source = source_for(get_task("rte"), None)
    assert source.splits() == ("train", "validation", "test")
    assert len({source.key(split) for split in source.splits()}) == 3


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach 'nyu-mll/glue' on the Hub"),
        ValueError("Couldn't find cache for nyu-mll/glue for config 'rte'"),
        FileNotFoundError("Couldn't find any data file"),
    ],
)
def test_no_network_says_how_to_work_offline(monkeypatch, error):
    def unreachable(*args):
        raise error

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(InputError) as caught:
        source_for(get_task("rte"), None).rows("train")
    message = str(caught.value)
    assert message.startswith("data.data_dir: must be a folder where nyu-mll/glue (rte) cannot be loaded from the hub")
    assert "--data.data_dir DIR" in message
    assert "official TSV" in message
    assert "HF_HUB_OFFLINE=1" in message
