"""CSV, TSV, JSON Lines and Parquet: the same rows, and every fault with its place."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from dylora.data.sources.table_files import read_table
from dylora.errors import InputError

HARD = ["NA", "null", "01", "1.0", ' "quoted" ', "a,b\tc", "two\nlines", "\u2028 é", "", "x" * 200_000]
ROWS = [{"text": text, "label": ("a", "b")[place % 2]} for place, text in enumerate(HARD)]


def write(folder, suffix, rows=ROWS):
    path = folder / f"rows{suffix}"
    names = list(rows[0])
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if suffix == ".csv" else "\t")
            writer.writerows([names, *(row.values() for row in rows)])
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_text_comes_back_as_it_was_written(tmp_path, suffix):
    table = read_table(write(tmp_path, suffix), "data.train_file")
    assert table.names == ("text", "label")
    assert table.column("text", "data.text_columns") == HARD
    assert table.column("label", "data.label_column") == [row["label"] for row in ROWS]


def test_a_row_stands_on_the_line_that_it_begins_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbftext,label\r\n"two\r\nlines",a\r\n\r\nlast,b\r\n')
    table = read_table(path, "data.train_file")
    assert [table.place(row) for row in (0, 1)] == [f"{path}, line 2", f"{path}, line 5"]
    assert table.names == ("text", "label")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", r"a\.csv: must be a file with rows, got an empty file"),
        ("a.csv", "text,label\n", r"a\.csv: must be a file with rows, got a header alone"),
        ("a.jsonl", "\n", r"a\.jsonl: must be a file with rows, got an empty file"),
        ("a.parquet", "", r"a\.parquet: must be a file with rows, got an empty file"),
        ("a.csv", "text,text\na,b\n", r"a\.csv: must be columns of different names, got 'text' twice"),
        ("a.jsonl", '{"x": 1}\n{"x": 1, "x": 2}\n', r"a\.jsonl, line 2: must be columns of different names, got 'x'"),
        ("a.csv", "text,label\na,b\na,b,c\n", r"a\.csv, line 3: must be a row of 2 cells, got 3 cells"),
        ("a.csv", 'text,label\na,b\n"a,b\nc,d\n', r"a\.csv, line 3: must be well-formed cells, got unexpected end"),
        ("a.tsv", 'text\tlabel\n"a" b\tc\n', r"a\.tsv, line 2: must be well-formed cells"),
        ("a.jsonl", '{"x": 1}\n{"x": \n', r"a\.jsonl, line 2: must be a JSON object, got Expecting value"),
        ("a.jsonl", "[1]\n", r"a\.jsonl, line 1: must be a JSON object, got a list"),
        ("a.parquet", "text", r"a\.parquet: must be a Parquet file, got a damaged one"),
        (
            "a.txt",
            "text",
            r"data.train_file: must be a file that ends in \.csv, \.tsv, \.jsonl, \.parquet, got '.*a\.txt'",
        ),
        ("a", "text", r"data.train_file: must be a file that ends in"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / name, "data.train_file")


def test_text_that_is_not_utf_8_names_the_line(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\nok,a\n\xe9,b\n")
    with pytest.raises(InputError, match=r"a\.csv, line 3: must be UTF-8 text, got the byte 0xe9"):
        read_table(tmp_path / "a.csv", "data.train_file")


def test_a_missing_file_and_a_missing_column(tmp_path):
    with pytest.raises(InputError, match=r"data.test_file: must be a file, got '.*no\.csv', which does not exist"):
        read_table(tmp_path / "no.csv", "data.test_file")
    table = read_table(write(tmp_path, ".csv"), "data.train_file")
    with pytest.raises(
        InputError, match=r"data.label_column: must be a column of .*rows\.csv \(text, label\), got 's'"
    ):
        table.column("s", "data.label_column")


def test_two_columns_of_one_name_in_parquet(tmp_path):
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="got 'text' twice"):
        read_table(tmp_path / "a.parquet", "data.train_file")
