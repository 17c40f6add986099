"""Configurations and experiments by name; and what a wheel holds, used outside a clone."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import dylora
from dylora.errors import InputError
from dylora.shipped import find_file, shipped_names, with_config_files

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_file_has_a_name():
    for kind in ("configs", "experiments"):
        assert len(shipped_names(kind)) == len(list((ROOT / kind).rglob("*.yaml")))
    assert {"demo", "rte", "nlg/e2e", "trainer/v100x8"} <= set(shipped_names("configs"))
    assert "table2" in shipped_names("experiments")


@pytest.mark.parametrize("given", ["nlg/e2e", "nlg/e2e.yaml", "configs/nlg/e2e.yaml"])
def test_a_name_is_the_file_of_the_package(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(find_file("configs", given, "--config")) == ROOT / "configs/nlg/e2e.yaml"


def test_a_file_that_exists_wins_over_a_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert Path(find_file("configs", "demo", "--config")) == ROOT / "configs/demo.yaml"
    (tmp_path / "rte").write_text("seed_everything: 1")
    assert find_file("configs", "rte", "--config") == "rte"


@pytest.mark.parametrize("given", ["seed_everything: 1", "{trainer: {max_epochs: 1}}", ""])
def test_yaml_in_the_place_of_a_file_stays(given):
    assert find_file("configs", given, "--config") == given


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["fit", "--config", "demo", "--trainer.max_epochs", "1"], 2),
        (["fit", "-c", "demo"], 2),
        (["fit", "--config=demo"], 1),
        (["fit", "--config", "x.yaml", "--config", "demo"], 4),
    ],
)
def test_each_config_of_a_command_may_be_a_name(arguments, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("seed_everything: 1")
    file = str(ROOT / "configs/demo.yaml")
    expected = f"--config={file}" if "=" in arguments[place] else file
    assert with_config_files(arguments) == [*arguments[:place], expected, *arguments[place + 1 :]]


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("configs", "rtt", "did you mean rte?"),
        ("configs", "nlg/e2", "did you mean nlg/e2e?"),
        ("experiments", "tabel2", "did you mean table2?"),
        ("configs", "/nowhere/at/all", "check the path, or choose one of cola, demo, "),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(kind, given, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        find_file(kind, given, "--config")
    assert given in str(error.value)
    assert "\n" not in str(error.value)


def test_every_extra_that_a_message_names_is_there():
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "dylora").rglob("*.py"))
    named = set(re.findall(r'pip install "dylora\[(\w+)\]"', text))
    assert {"quantized", "gguf", "meteor"} <= named <= set(PROJECT["optional-dependencies"])
    engines = (ROOT / "dylora/sweep/engines.py").read_text(encoding="utf-8")
    assert {"slurm", "ray"} <= set(PROJECT["optional-dependencies"])
    assert "dylora[{extra}]" in engines


def test_every_requirement_has_both_bounds():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    assert [line for line in [*PROJECT["dependencies"], *extras] if ">=" not in line or "<" not in line] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the working tree."""
    pytest.importorskip("hatchling", reason="the wheel is built by hatchling, of the extra test")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_what_is_found_by_name_and_nothing_else_of_the_clone(wheel):
    files = zipfile.ZipFile(wheel).namelist()
    for kind in ("configs", "experiments"):
        inside = {name.removeprefix(f"dylora/{kind}/") for name in files if name.startswith(f"dylora/{kind}/")}
        assert inside == {path.relative_to(ROOT / kind).as_posix() for path in (ROOT / kind).rglob("*.yaml")}
    assert {name.split("/")[0] for name in files} == {"dylora", f"dylora-{dylora.__version__}.dist-info"}
    assert {"dylora/py.typed", "dylora/assets/gpt2/model.safetensors", "dylora/report/paper/v2_table2.csv"} <= {*files}


def test_the_wheel_says_version_script_and_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    folder = f"dylora-{dylora.__version__}.dist-info"
    lines = archive.read(f"{folder}/METADATA").decode().splitlines()
    assert f"Version: {dylora.__version__}" in lines
    assert {f"Provides-Extra: {name}" for name in PROJECT["optional-dependencies"]} <= {*lines}
    assert "dylora = dylora.cli:main" in archive.read(f"{folder}/entry_points.txt").decode()


@pytest.mark.slow
def test_outside_a_clone_the_wheel_finds_its_configurations_and_experiments(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import dylora; print(dylora.__file__);"
        "from pathlib import Path; from dylora.shipped import find_file; from dylora.sweep.file import read_sweep;"
        "print(read_sweep(Path(find_file('experiments', 'table2', 'FILE'))).tasks['rte']);"
        "from dylora.cli import main; main(['fit', '--config', 'demo', '--print_config'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path / "installed"))
    assert "task: restaurants" in done.stdout
    assert str(tmp_path / "installed/dylora/configs/rte.yaml") in done.stdout
