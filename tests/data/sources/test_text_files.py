"""Files that cannot be read, each told in one line."""

from pathlib import Path

import pytest

import dylora
from dylora.data.sources.text_files import decode, find_file, parse_json, read_bytes, split_lines, strings
from dylora.errors import InputError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.json"


def test_the_first_file_that_exists_is_taken(tmp_path):
    (tmp_path / "b").write_text("")
    assert find_file(tmp_path, ["a", "b"]) == tmp_path / "b"
    (tmp_path / "a").write_text("")
    assert find_file(tmp_path, ["a", "b"]) == tmp_path / "a"


def test_a_missing_file_is_told_with_what_is_there(tmp_path):
    (tmp_path / "other.csv").write_text("")
    with pytest.raises(InputError) as caught:
        find_file(tmp_path, ["a.csv", "b.csv"])
    assert str(caught.value) == (
        f"{tmp_path}/a.csv: must be an existing file, got a folder with other.csv; "
        "put the official file there or give another --data.data_dir"
    )


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(InputError, match=r"must be a readable file, got Is a directory; check its permissions"):
        read_bytes(tmp_path)


def test_text_keeps_its_line_ends_and_loses_a_byte_order_mark(path):
    assert decode(b"\xef\xbb\xbfa\r\nb\n", path) == "a\r\nb\n"


def test_other_encodings_are_told_with_the_line(path):
    with pytest.raises(InputError) as caught:
        decode("one\ntwo £\n".encode("latin-1"), path)
    assert str(caught.value) == (
        f"{path}, line 2: must be UTF-8 text, got the byte 0xa3; convert the file to UTF-8 or download it again"
    )


@pytest.mark.parametrize("content", [b"", b" \r\n\n"])
def test_an_empty_file_is_told(path, content):
    with pytest.raises(InputError) as caught:
        parse_json(content, path)
    assert str(caught.value) == f"{path}: must be a file with data, got an empty file; download it again"


@pytest.mark.parametrize(
    ("content", "line"), [(b'[\n{"a": 1},\n', 3), (b'[\n{"a": "x', 2), (b'[\n{"a"', 2), (b'[\n{"a": tr', 2)]
)
def test_a_truncated_file_is_told_with_its_last_line(path, content, line):
    with pytest.raises(InputError, match=rf"test\.json, line {line}: must be complete JSON, got "):
        parse_json(content, path)


def test_a_truncated_file_is_called_one(path):
    with pytest.raises(InputError) as caught:
        parse_json(b'[\n{"a": "x', path)
    assert str(caught.value) == (
        f"{path}, line 2: must be complete JSON, got a file that ends too early; download it again"
    )


def test_a_wrong_character_is_told_with_its_place(path):
    with pytest.raises(InputError, match=r"line 2: must be complete JSON, got Expecting ',' delimiter at column 3;"):
        parse_json(b"[1\n  2]", path)


def test_only_strings_are_strings():
    assert strings(["a", ""]) == ("a", "")
    with pytest.raises(TypeError, match="None is no string"):
        strings(["a", None])


def test_only_a_line_feed_ends_a_line():
    assert split_lines("a\u2028b\x85c\x0bd\r\n\ne") == ["a\u2028b\x85c\x0bd", "", "e"]


def test_nothing_in_the_package_ends_lines_where_unicode_does():
    files = Path(dylora.__file__).parent.rglob("*.py")
    assert [file.name for file in files if ".splitlines(" in file.read_text(encoding="utf-8")] == []
