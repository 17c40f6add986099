"""Every option is documented, and the configuration can be printed and read back."""

import re
import sys

import pytest
import yaml

from dylora.cli import main
from dylora.cli.commands import COMMANDS, overview


def _printed(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_every_option_of_ours_has_a_description(command, capsys):
    text = _printed([command, "--help"], capsys)
    blocks = re.split(r"\n  (?=-)", text)
    ours = [
        block for block in blocks if re.match(r"--(model|data|rank_sampling|rank|ckpt_path|output|submission)", block)
    ]
    assert len(ours) > 25
    for block in ours:
        words = re.sub(r"\[[^]]*\]$", "", block, flags=re.DOTALL).split()
        assert len([word for word in words if re.fullmatch(r"[a-z,.`]+", word)]) >= 2, block


def test_help_has_the_options_of_the_classes_that_are_chosen_before_it(capsys):
    text = _printed(["fit", "--help"], capsys)
    assert text.startswith("usage: python -m dylora fit [options]\n")
    assert "--model.learning_rate" in text
    assert "--model.decoding" not in text
    text = _printed(["fit", "--model=GenerationModule", "--data=E2EDataModule", "--help"], capsys)
    for option in ("--model.decoding", "--model.learning_rate", "--model.method", "--data.form", "--data.max_context"):
        assert option in text
    for given_elsewhere in ("--model.task", "--data.backbone", "--data.gguf_file", "--data.seed"):
        assert given_elsewhere not in text
    assert "--model.method.target" in _printed(["fit", "--model.method=FLOP", "--help"], capsys)


def test_rank_is_an_option_of_the_evaluations_alone(capsys):
    assert "--rank " not in _printed(["fit", "--help"], capsys)
    assert "--rank TEXT" in _printed(["validate", "--help"], capsys)


def test_the_printed_configuration_is_a_configuration(capsys, tmp_path):
    arguments = ["fit", "--model.adapter.max_rank", "6", "--data.task", "mrpc", "--print_config"]
    config = yaml.safe_load(_printed(arguments, capsys))
    assert config["model"]["init_args"]["adapter"]["max_rank"] == 6
    assert (config["rank_sampling"]["recipe"], config["rank_sampling"]["distribution"]) == ("sorted", None)
    (tmp_path / "printed.yaml").write_text(yaml.safe_dump(config))
    again = yaml.safe_load(_printed(["fit", "--config", str(tmp_path / "printed.yaml"), "--print_config"], capsys))
    assert again == config


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_command_as_typed_and_has_no_mark_up(command, capsys, monkeypatch):
    text = _printed([command, "--help"], capsys)
    assert text.startswith(f"usage: python -m dylora {command} ")
    for mark in ("``", ":class:", ":paramref:", "(type:", "known subclasses", "%%"):
        assert mark not in text
    monkeypatch.setattr(sys, "argv", ["/usr/bin/dylora"])
    assert _printed([command, "--help"], capsys).startswith(f"usage: dylora {command} ")
    assert overview().startswith("usage: dylora COMMAND")


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_help_has_our_options_first_and_all_of_the_trainers_on_request(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    short, whole = (_printed([command, option], capsys) for option in ("--help", "--help_all"))
    assert len(short.splitlines()) < {"fit": 260, "validate": 150}[command]
    for text in (short, whole):
        places = [text.index(f"--{name} ") for name in ("model", "model.learning_rate", "data.task")]
        assert places == sorted(places)
        assert text.index("--data.task ") < text.index("--trainer.")
    assert "--trainer.sync_batchnorm" in whole
    assert "--trainer.sync_batchnorm" not in short
    assert ":class:" not in whole


def test_help_names_what_an_option_takes_and_its_default(capsys):
    text = " ".join(_printed(["fit", "--help"], capsys).split())
    assert "--model.learning_rate FLOAT Peak learning rate, above 0 and at most 100. [0.0004]" in text
    assert "--rank_sampling.polish.sort_by {learned,two-sided,svd}" in text


def test_the_configuration_that_is_printed_is_what_a_person_edits(capsys, tmp_path):
    arguments = ["fit", "--config", "demo", "--trainer.max_steps", "7"]
    brief, whole = (_printed([*arguments, f"--print_config{flag}"], capsys) for flag in ("", "=all"))
    assert yaml.safe_load(brief)["trainer"] == {"max_epochs": 5, "max_steps": 7}
    assert list(yaml.safe_load(brief)) == ["seed_everything", "trainer", "model", "data", "rank_sampling"]
    assert yaml.safe_load(whole)["trainer"]["sync_batchnorm"] is False
    (tmp_path / "printed.yaml").write_text(brief)
    assert _printed(["fit", "--config", str(tmp_path / "printed.yaml"), "--print_config=all"], capsys) == whole
    assert "trainer" not in yaml.safe_load(_printed(["validate", "--print_config"], capsys))


def test_evaluation_help_needs_no_run(capsys):
    assert "rank" in _printed(["validate", "--help"], capsys)


def test_help_names_every_command(capsys):
    main(["--help"])
    printed = capsys.readouterr().out
    for command in ("fit", "validate", "test", "predict", "sweep", "report", "score"):
        assert re.search(rf"^  {command} +[A-Z].*\.$", printed, re.MULTILINE)


def test_an_unknown_command_is_refused(refused):
    assert "command: must be one of fit, validate," in refused("train")
    assert "got none" in refused()
