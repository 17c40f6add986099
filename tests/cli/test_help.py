"""Every option is documented, and the configuration can be printed and read back."""

import re

import pytest
import yaml

from dylora.cli import main


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
        if "Path to a configuration file" in block:
            continue
        words = re.sub(r"\(type:.*", "", block, flags=re.DOTALL).split()
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
    assert "--rank RANK" in _printed(["validate", "--help"], capsys)


def test_the_printed_configuration_is_a_configuration(capsys, tmp_path):
    arguments = ["fit", "--model.adapter.max_rank", "6", "--data.task", "mrpc", "--print_config"]
    config = yaml.safe_load(_printed(arguments, capsys))
    assert config["model"]["init_args"]["adapter"]["max_rank"] == 6
    assert (config["rank_sampling"]["recipe"], config["rank_sampling"]["distribution"]) == ("sorted", None)
    (tmp_path / "printed.yaml").write_text(yaml.safe_dump(config))
    again = yaml.safe_load(_printed(["fit", "--config", str(tmp_path / "printed.yaml"), "--print_config"], capsys))
    assert again == config


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
