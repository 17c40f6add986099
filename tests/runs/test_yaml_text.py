"""The one reader of YAML: what it refuses, and that it takes what the package's own files say."""

from pathlib import Path

import pytest
import yaml

from dylora.errors import InputError
from dylora.runs.yaml_text import MOST_BYTES, check_yaml, parse_yaml, read_yaml

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").rglob("*.yaml"))
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_of_the_package_are_read_as_yaml_reads_them(path):
    assert read_yaml(path, "--config") == yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3000 + "]" * 3000, "nested at most 50 levels deep"),
        ("a: &a [*a]", "must be a document with an end, got *a inside &a"),
        ("a: &a {b: {c: *a}}", "must be a document with an end"),
        (BOMB, "at most 100000 values, aliases written out"),
        ("a: 1\nb: 2\na: 3", "without repeated keys, got 'a' twice (line 3)"),
        ("a: {b: 1, 'b': 2}", "without repeated keys, got 'b' twice"),
        ("x" * (MOST_BYTES + 1), "at most 1000000 bytes"),
        ("a: \uff18", "numbers in the digits 0 to 9, got '\uff18'"),
        ("a: " + "9" * 5000, "numbers of at most 300 digits, got 5000 characters"),
        ("a: [1", "must be YAML of plain values, got line"),
        ("a: !!python/object/apply:os.system [ls]", "must be YAML of plain values"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(InputError, match=r"^file.yaml: ") as caught:
        parse_yaml(text, "file.yaml")
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"a: \xff\xfe", "a: 1".encode("utf-16")])
def test_a_file_in_another_encoding(content, tmp_path):
    (tmp_path / "file.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"file.yaml: must be a text in UTF-8, got other bytes at place [03]; save it"):
        read_yaml(tmp_path / "file.yaml", "--config")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"^--config: must be a file, got .*, which does not exist; check the path"):
        read_yaml(tmp_path / "none.yaml", "--config")
    with pytest.raises(InputError, match=r"^--config: must be a file, got .*, which is none; check the path"):
        read_yaml(tmp_path, "--config")


def test_aliases_and_merged_keys_are_taken():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]"
    assert parse_yaml(text, "file")["b"] == {"x": 1, "y": 3}


def test_a_text_that_is_no_yaml_is_left_to_the_reader():
    check_yaml("Question: {q}: [", "--data.prompt")


def test_a_date_is_a_text():
    assert parse_yaml("a: 2020-13-45", "file") == {"a": "2020-13-45"}
