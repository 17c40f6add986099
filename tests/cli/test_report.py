"""The command `report`: what it refuses in one line, and where its words go."""

import json
import shutil

import pytest

from dylora.cli import main
from dylora.runs.record import RunRecord


@pytest.fixture
def logs(tmp_path):
    """The folder of one finished run of known figures."""
    place = tmp_path / "logs" / "s" / "dylora" / "mrpc" / "seed_10"
    values = {"rank": None, "learning_rate": None, "overrides": {}, "command": [], "status": "finished"}
    RunRecord("s", "2", "dylora", "DyLoRA", "mrpc", 10, **values, result="mrpc/version_0").write(place)
    (place / "mrpc" / "version_0").mkdir(parents=True)
    last = {"score": 0.9, "metrics": {"f1": {"1": 0.9, "8": 0.92}}}
    content = {"metric": "f1", "last": last, "best": last}
    (place / "mrpc" / "version_0" / "rank_metrics.json").write_text(json.dumps(content))
    return tmp_path / "logs"


@pytest.mark.parametrize("table", ["1", "2", "3", "4", "5", "6", "7", "8", "9", "v1.1"])
@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html"])
def test_every_table_in_every_form(logs, capsys, table, form):
    arguments = ["report", str(logs), "--table", table, "--format", form]
    if table in ("1", "6", "9", "v1.1"):  # by accuracy and scores of texts, which this run does not have
        arguments += ["--metric", "f1"]
    main(arguments)
    assert capsys.readouterr().out


def test_without_a_table_every_run_is_shown(logs, capsys):
    main(["report"])
    assert "| mrpc | DyLoRA | 90.00 (1) | 92.00 (1) | 91.00 (1) | 91.00 (1) |" in capsys.readouterr().out


def test_csv_is_alone_on_stdout(logs, capsys):
    main(["report", str(logs), "--table", "2", "--format", "csv"])
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].startswith("system,cut,rank,task,metric,mean,std,seeds")
    assert "No runs of LoRA, DyLoRA (Frozen), Fine Tune" in captured.err


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html"])
def test_every_system_against_one_in_every_form(logs, capsys, form):
    run = logs / "s" / "dylora" / "mrpc" / "seed_10"
    shutil.copytree(run, logs / "s" / "lora" / "mrpc" / "seed_10")
    path = logs / "s" / "lora" / "mrpc" / "seed_10" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "system": "lora", "label": "LoRA"}))
    main(["report", str(logs), "--against", "lora", "--format", form])
    assert "cannot tell" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--table", "10"], "--table: must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, v1.1, got '10'"),
        (["--table", "2", "--by", "task,rank"], "--by: must be left out with --table"),
        (["--table", "2", "--learning_rates", "all"], "--learning_rates: must be best with --table"),
        (["--against", "dylora", "--table", "2"], "--table: must be left out with --against"),
        (["--against", "dylora", "--by", "task,rank"], "--by: must be left out with --against"),
        (["--against", "lora"], "--against: must be among the systems and cuts of the runs: dylora, got 'lora'"),
        (["--systems", "lora"], "--systems: must be among the systems and cuts of the runs: dylora, got 'lora'"),
        (["--by", "task,colour"], "--by: must be fields among system, task, rank, seed, metric, got 'colour'"),
        (["--metric", "f2"], "--metric: must be a metric of the runs"),
        (["--format", "pdf"], "pdf"),
        (["nowhere"], "FOLDER: must be a folder with runs of a sweep (run.json), got 'nowhere', which does not exist"),
    ],
)
def test_wrong_options(logs, refused, arguments, words):
    assert words in refused("report", *arguments)


def test_a_page_of_runs_is_written_once(logs, tmp_path, capsys, refused):
    main(["report", str(logs), "--html", str(tmp_path / "report.html")])
    assert "Written" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert "--html: must be a file that does not exist yet" in refused(
        "report", str(logs), "--html", str(tmp_path / "report.html")
    )
    assert "--table: must be left out with --html" in refused("report", "--table", "2", "--html", "x.html")


def test_a_run_of_another_version_and_one_that_has_not_finished(logs, refused):
    path = next(logs.rglob("run.json"))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 7}))
    assert "must be a run's record of format 1, got format 7" in refused("report")
    path.write_text(json.dumps({**content, "status": "failed", "error": "no memory"}))
    assert "got dylora mrpc seed 10 failed (no memory): not counted" in refused("report")
