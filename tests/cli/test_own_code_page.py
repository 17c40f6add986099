"""The code of the page about own classes runs as it stands there."""

import re
from pathlib import Path

import pytest
import tiny

from dylora.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own_code.md").read_text()


@pytest.fixture
def fit(backbone, tmp_path, monkeypatch):
    """Run the page's command that begins with the given options, on a tiny backbone."""
    (tmp_path / "my_project.py").write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    monkeypatch.syspath_prepend(tmp_path)

    def run(start):
        (command,) = re.findall(rf"python -m dylora (fit {start}.*)", PAGE)
        main([*command.split(), "--model.backbone", backbone, "--trainer.accelerator", "cpu"])
        return tmp_path / "logs"

    return run


@pytest.mark.slow
def test_own_data_with_the_model_of_the_package(fit, capsys):
    run = fit("--data my_project.Weather") / "SequenceClassificationModule" / "version_0"
    content = tiny.metrics_of(run)
    assert content["task"] == "weather"
    assert set(content["epochs"][0]["metrics"]) == {"accuracy", "macro_f1", "matthews", "loss"}
    main(["validate", "--rank", "1,8"])
    assert "rank 8" in capsys.readouterr().out


@pytest.mark.slow
def test_own_data_with_an_own_model(fit):
    run = fit("--model my_project.Classifier") / "Classifier" / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
