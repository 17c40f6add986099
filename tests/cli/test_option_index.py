"""The list of known options is that of the parsers; it refuses what they refuse and nothing else, without torch."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from dylora.cli.option_index import current_index, option_index, unknown_option_words, write_index

FAR = ["--trainer.logger.save_dir", "x", "--trainer.callbacks.patience=3", "--trainer.callbacks+=EarlyStopping"]


def test_the_list_is_that_of_the_parsers():
    if version("lightning") != option_index()["lightning"]:
        pytest.skip("the list was made with another version of Lightning")
    current = current_index()
    fix = f'run python -c "from dylora.cli.option_index import write_index; {write_index.__name__}()"'
    assert json.dumps(option_index()) == json.dumps(current), fix


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--modl.x", "3"], "--modl.x: must be an option of the command, got an unknown one; did you mean --model"),
        (["--trainer.max_epoch=3"], "did you mean --trainer.max_epochs?"),
        (["--rank_sampling.polish.sort_a", "1"], "did you mean --rank_sampling.polish.sort_at?"),
        (["--model.bakbone", "x"], "SequenceClassificationModule has no such option; did you mean --model.backbone?"),
        (["--model.init_args.bakbone", "x"], "did you mean --model.backbone?"),
        (["--model.adapter.max_rnk", "1"], "did you mean --model.adapter.max_rank?"),
        (["--data.form", "official"], "it is one of E2EDataModule: choose the class with --data"),
        (["--model.method", "FLOP", "--model.method.targt", "1"], "FLOP has no such option; did you mean"),
        (["--data=E2EDataModule", "--data.frm", "official"], "did you mean --data.form?"),
    ],
)
def test_unknown_options_are_named(arguments, words):
    assert words in (unknown_option_words("fit", arguments) or "")


@pytest.mark.parametrize(
    "arguments",
    [
        FAR,
        ["--data", "E2EDataModule", "--data.form", "official"],
        ["--data.class_path", "E2EDataModule", "--data.init_args.form", "official"],
        ["--data", "mine.Data", "--data.anything", "1", "--model.adapter", "{max_rank: 3}"],
        ["--model.method", "FLOP", "--model.method.target", "0.5", "--model.method.init_args.target", "0.5"],
        ["--model.method.class_path=FLOP", "--model.init_args.method.init_args.target=0.5"],
        ["--data=DATA", "--print_config=skip_null", "--model.help", "GenerationModule"],
        ["--trainer.callbacks+", "EarlyStopping", "--rank_sampling.weights+=1"],
    ],
)
def test_what_may_be_right_is_left_to_the_parser(arguments):
    assert unknown_option_words("fit", arguments) is None


@pytest.mark.parametrize(
    ("content", "is_known"),
    [
        ("data: {class_path: E2EDataModule}", True),
        ("data: {class_path: mine.Data}", True),
        ("data: other.yaml", True),
        ("data: {class_path: DARTDataModule}", False),
        ("trainer: {max_epochs: 1}", False),
    ],
)
def test_the_class_may_stand_in_the_configuration(content, is_known, tmp_path):
    (tmp_path / "c.yaml").write_text(content)
    words = unknown_option_words("fit", ["--config", str(tmp_path / "c.yaml"), "--data.form", "official"])
    assert (words is None) == is_known


def test_a_mistyped_option_is_refused_without_the_training_libraries(tmp_path):
    code = (
        "import sys\nfrom dylora.cli import main\n"
        "try:\n    main(['fit', '--model.bakbone', 'x'])\n"
        "except SystemExit as end:\n    assert end.code == 2\n"
        "print(sorted({'torch', 'lightning', 'transformers', 'datasets', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr.count("\n") == 1


def test_the_data_library_is_not_loaded_to_print_a_configuration(tmp_path):
    code = (
        "import sys\nfrom dylora.cli import main\n"
        "try:\n    main(['fit', '--print_config'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'datasets', 'peft', 'transformers.trainer'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == "[]\n"
