"""Whole runs on a user's own texts: every type of file, classes and scores, what the checkpoint keeps."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import tiny

import dylora
from dylora.cli import main
from dylora.data.sources.embedded import entailment
from dylora.runs.checkpoints import read_checkpoint

PREDICTED = "logs/all/version_0/predictions/validation.jsonl"
TYPES = (".csv", ".tsv", ".jsonl", ".parquet")


def _rows(count, first=0):
    """Sentences with commas and quotes in three classes, and a number each."""
    found = entailment("train")[first : first + count]
    kinds = ("bad", "good", "so, so")
    return [
        {"text": f'{row["sentence1"]} He said "{row["sentence2"]}", too', "label": kinds[place % 3], "stars": place % 5}
        for place, row in enumerate(found)
    ]


def _write(path, rows):
    names = list(rows[0])
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        cells = [names, *([str(value) for value in row.values()] for row in rows)]
        separator = "," if path.suffix == ".csv" else "\t"
        quoted = (separator.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in cells)
        path.write_text("\n".join(quoted) + "\n")
    return path


def _options(backbone, root, suffix=".csv", **changes):
    train, validation = (
        _write(root / f"{name}{suffix}", rows) for name, rows in (("all", _rows(40)), ("dev", _rows(12, 40)))
    )
    files = {"data": "TextClassificationDataModule", "data.train_file": train, "data.validation_file": validation}
    options = dict(option.removeprefix("--").split("=", 1) for option in tiny.options(backbone, root))
    del options["data.task"]
    return [f"--{key}={value}" for key, value in {**files, **options, **changes}.items()]


@pytest.fixture(scope="module")
def own(backbone, tmp_path_factory):
    """The root of a finished run on a CSV file, `logs/all/version_0`; tests must not write into it."""
    root = tmp_path_factory.mktemp("own")
    main(["fit", *_options(backbone, root)])
    return root


@pytest.mark.slow
@pytest.mark.parametrize("task_type", ["classification", "regression"])
def test_the_same_rows_give_the_same_run_whatever_the_type_of_the_file(backbone, tmp_path, task_type):
    changes = {"data.task_type": task_type, "data.label_column": "label" if task_type == "classification" else "stars"}
    found = []
    for suffix in TYPES:
        root = tmp_path / suffix[1:]
        root.mkdir()
        main(["fit", *_options(backbone, root, suffix, **changes)])
        found.append(tiny.metrics_of(root / "logs" / "all" / "version_0"))
        found[-1].pop("seconds")
    assert found[0]["task"] == "all"
    names = {"classification": {"accuracy", "macro_f1", "matthews"}, "regression": {"pearson", "spearman", "mae"}}
    assert set(found[0]["epochs"][0]["metrics"]) == {*names[task_type], "loss"}
    assert all(other == found[0] for other in found[1:])


def test_the_classes_are_in_the_checkpoint(own):
    checkpoint = read_checkpoint(own / "logs" / "all" / "version_0" / "checkpoints" / "best.ckpt")
    assert checkpoint["dylora"]["labels"] == ["bad", "good", "so, so"]


def test_an_evaluation_takes_the_classes_from_the_checkpoint_and_needs_no_training_file(own, tmp_path, capsys):
    """A file with one of the classes alone, whose id the data itself could not know."""
    new = _write(tmp_path / "new.csv", [row for row in _rows(12, 40) if row["label"] == "so, so"])
    config = own / "logs" / "all" / "version_0" / "config.yaml"
    arguments = ["--config", config, "--data.train_file", tmp_path / "gone.csv"]
    main(["validate", *map(str, arguments), "--data.validation_file", str(new)])
    assert "accuracy" in capsys.readouterr().out
    main(["predict", *map(str, arguments), "--data.predict_file", str(new), "--output", str(tmp_path / "out")])
    records = tiny.records_of(tmp_path / "out" / "predict.jsonl")
    assert [record["index"] for record in records] == [0, 1, 2, 3]
    assert set(records[0]["ranks"]["1"]["probabilities"]) == {"bad", "good", "so, so"}


def test_rows_that_were_split_off_are_predicted_with_their_own_texts(backbone, tmp_path):
    main(["fit", *_options(backbone, tmp_path, **{"data.validation_file": "null", "data.validation_share": 0.2})])
    main(["predict", "--rank", "1,2"])
    written = {record["index"]: record for record in tiny.records_of(tmp_path / PREDICTED)}
    rows = _rows(40)
    assert max(written) > len(written)
    assert {index: (record["text"], record["label"]) for index, record in written.items()} == {
        index: (rows[index]["text"], rows[index]["label"]) for index in written
    }


def test_a_run_on_own_classes_is_loaded_in_python(own):
    trained = dylora.load(own / "logs" / "all" / "version_0")
    answer = trained("It is cheap.")
    assert answer["label"] in ("bad", "good", "so, so")


def test_other_classes_than_those_of_the_checkpoint_are_refused(own, refused):
    config = own / "logs" / "all" / "version_0" / "config.yaml"
    line = refused("validate", "--config", config, "--data.labels", "[good,bad,'so, so']")
    assert "--ckpt_path: must be trained on the classes of the data (good, bad, so, so)" in line


def test_the_monitor_is_chosen_and_an_error_is_better_when_lower(backbone, tmp_path):
    changes = {"data.task_type": "regression", "data.label_column": "stars", "model.monitor": "mae"}
    main(["fit", *_options(backbone, tmp_path, **changes)])
    content = tiny.metrics_of(tmp_path / "logs" / "all" / "version_0")
    assert content["metric"] == "mae"
    curve = content["epochs"][-1]["metrics"]["mae"]
    assert curve[str(content["epochs"][-1]["best_rank"])] == min(curve.values())


def _real_sst2():
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "data" / "glue" / "SST-2").is_dir():
            return parent / "shared" / "data" / "glue" / "SST-2"
    return pytest.skip("no real GLUE data in ../shared/data/glue")


@pytest.mark.parametrize("real", [False, True])
def test_a_task_of_glue_given_as_an_own_file_has_its_figures(backbone, tmp_path, real):
    (tmp_path / "SST-2").mkdir()
    if real:
        lines = {name: (_real_sst2() / f"{name}.tsv").read_text().split("\n")[1:61] for name in ("train", "dev")}
    else:
        made = [f"{row['text'].replace(chr(34), '')} \t{place % 2}" for place, row in enumerate(_rows(60))]
        lines = {"train": made[:40], "dev": made[40:]}
    files = {}
    for name, rows in lines.items():
        (tmp_path / "SST-2" / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
        pairs = (row.split("\t") for row in rows)
        files[name] = _write(
            tmp_path / f"own_{name}.csv", [{"sentence": text, "label": label} for text, label in pairs]
        )
    own = {"data.train_file": files["train"], "data.validation_file": files["dev"], "data.name": "mine"}
    main(["fit", *_options(backbone, tmp_path, **own)])
    main(["fit", *tiny.options(backbone, tmp_path, **{"data.task": "sst2", "data.data_dir": tmp_path})])
    ours, theirs = (tiny.metrics_of(tmp_path / "logs" / name / "version_0")["epochs"] for name in ("mine", "sst2"))
    for mine, official in zip(ours, theirs, strict=True):
        assert {name: mine["metrics"][name] for name in ("accuracy", "loss")} == official["metrics"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data.train_file": "a.txt"}, "data.train_file: must be a file that ends in .csv, .tsv, .jsonl, .parquet"),
        ({"data.train_file": "empty.csv"}, "empty.csv: must be a file with rows, got an empty file"),
        ({"data.train_file": "one.csv"}, "one.csv: must be rows of two classes or more in 'label', got 'x' alone"),
        ({"data.train_file": "twice.csv"}, "twice.csv: must be columns of different names, got 'text' twice"),
        ({"data.validation_file": "one.csv"}, "one.csv, line 2: must be one of the classes bad, good, so, so, got 'x'"),
        ({"data.label_column": "y"}, "data.label_column: must be a column of"),
        ({"data.label_column": "text", "data.task_type": "regression"}, "all.csv, line 2: must be a number in column"),
        ({"data.task_type": "ranking"}, "--data.task_type: must be one of classification, regression, got ranking"),
        ({"model.monitor": "f1"}, "model.monitor: must be a metric of the task (accuracy, macro_f1, matthews) or loss"),
        ({"model.labels": "[a,b]"}, "--model.labels: must be that of the data (['bad', 'good', 'so, so'])"),
        ({"data.task": "rte"}, "it is one of GLUEDataModule"),
        ({"model": "GenerationModule"}, "--data: must be a data module of texts for GenerationModule (E2EDataModule, "),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(backbone, tmp_path, refused, changes, words):
    for name, content in {
        "a.txt": "x",
        "empty.csv": "",
        "one.csv": "text,label\na,x\nb,x\n",
        "twice.csv": "text,text\na,b\n",
    }.items():
        (tmp_path / name).write_text(content)
    assert words in refused("fit", *_options(backbone, tmp_path, **changes))
    assert not list(tmp_path.glob("logs/*/*"))
