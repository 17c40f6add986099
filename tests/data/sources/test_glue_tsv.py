"""The official GLUE layout, good and bad."""

from collections import Counter

import pytest

from dylora.data.sources.glue_tsv import available_splits, read_split
from dylora.errors import InputError
from dylora.tasks import TASKS, get_task

MNLI_HEADER = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
    "sentence2_parse\tsentence1\tsentence2"
)
PARSES = "7\tp\tfiction\t( a )\t( b )\t(A)\t(B)"

# task, file, content, split, expected columns: one labelled and one unlabelled file of every task.
LAYOUT_CASES = [
    (
        "cola",
        "CoLA/train.tsv",
        'gj04\t1\t\tA "quoted sentence.\nbc01\t0\t*\tHim sleeps.\n',
        "train",
        {"index": [0, 1], "sentence": ['A "quoted sentence.', "Him sleeps."], "label": [1, 0]},
    ),
    (
        "cola",
        "CoLA/test.tsv",
        "index\tsentence\n0\tBill left.\n",
        "test",
        {"index": [0], "sentence": ["Bill left."]},
    ),
    (
        "sst2",
        "SST-2/dev.tsv",
        "sentence\tlabel\ndull \t0\nsharp \t1\n",
        "validation",
        {"index": [0, 1], "sentence": ["dull ", "sharp "], "label": [0, 1]},
    ),
    (
        "sst2",
        "SST-2/test.tsv",
        "index\tsentence\n0\tfine .\n",
        "test",
        {"index": [0], "sentence": ["fine ."]},
    ),
    (
        "mrpc",
        "MRPC/train.tsv",
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t10\t11\tHe said " no .\t" No " , he said .\n',
        "train",
        {"index": [0], "sentence1": ['He said " no .'], "sentence2": ['" No " , he said .'], "label": [1]},
    ),
    (
        "mrpc",
        "MRPC/test.tsv",
        "\ufeffindex\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t10\t11\ta\tb\n",
        "test",
        {"index": [0], "sentence1": ["a"], "sentence2": ["b"]},
    ),
    (
        "qqp",
        "QQP/dev.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n201\t1\t2\tWhy?\tHow?\t0\n99\t3\t4\tA?\tA ?\t1\n",
        "validation",
        {"index": [0, 1], "question1": ["Why?", "A?"], "question2": ["How?", "A ?"], "label": [0, 1]},
    ),
    (
        "qqp",
        "QQP/test.tsv",
        "id\tquestion1\tquestion2\n0\tWhy?\tHow?\n",
        "test",
        {"index": [0], "question1": ["Why?"], "question2": ["How?"]},
    ),
    (
        "stsb",
        "STS-B/train.tsv",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\t2012\t1\tnone\tnone\ta\tb\t3.800\n1\tg\tf\t2012\t2\tnone\tnone\tc\td\t0\n",
        "train",
        {"index": [0, 1], "sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [3.8, 0.0]},
    ),
    (
        "stsb",
        "STS-B/test.tsv",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\n"
        "0\tg\tf\t2012\t1\tnone\tnone\ta\tb\n",
        "test",
        {"index": [0], "sentence1": ["a"], "sentence2": ["b"]},
    ),
    (
        "mnli",
        "MNLI/dev_mismatched.tsv",
        f"{MNLI_HEADER}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        f"0\t{PARSES}\tp1\th1\tentailment\tneutral\tneutral\tneutral\tneutral\tneutral\n"
        f"1\t{PARSES}\tp2\th2\t\t\t\t\t\tcontradiction\n2\t{PARSES}\tp3\th3\t\t\t\t\t\tentailment\n",
        "validation_mismatched",
        {
            "index": [0, 1, 2],
            "premise": ["p1", "p2", "p3"],
            "hypothesis": ["h1", "h2", "h3"],
            "label": [1, 2, 0],
        },
    ),
    (
        "mnli",
        "MNLI/test_matched.tsv",
        f"{MNLI_HEADER}\n0\t{PARSES}\tp\th\n",
        "test_matched",
        {"index": [0], "premise": ["p"], "hypothesis": ["h"]},
    ),
    (
        "qnli",
        "QNLI/dev.tsv",
        "index\tquestion\tsentence\tlabel\n0\tWho?\tHe.\tentailment\n1\tWho?\tNo.\tnot_entailment\n",
        "validation",
        {"index": [0, 1], "question": ["Who?", "Who?"], "sentence": ["He.", "No."], "label": [0, 1]},
    ),
    (
        "qnli",
        "QNLI/test.tsv",
        "index\tquestion\tsentence\n0\tWho?\tHe.\n",
        "test",
        {"index": [0], "question": ["Who?"], "sentence": ["He."]},
    ),
    (
        "rte",
        "RTE/train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n1\tc\td\tentailment\n",
        "train",
        {"index": [0, 1], "sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [1, 0]},
    ),
    (
        "rte",
        "RTE/test.tsv",
        "index\tsentence1\tsentence2\n0\ta\tb\n",
        "test",
        {"index": [0], "sentence1": ["a"], "sentence2": ["b"]},
    ),
]
RTE_HEADER = "index\tsentence1\tsentence2\tlabel\n"
QQP_HEADER = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(folder, task, split):
    with pytest.raises(InputError) as caught:
        read_split(get_task(task), folder, split)
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "name", "content", "split", "expected"), LAYOUT_CASES, ids=[case[1] for case in LAYOUT_CASES]
)
def test_official_layout_of_every_task_is_read(tmp_path, task, name, content, split, expected):
    write(tmp_path, name, content)
    assert read_split(get_task(task), tmp_path, split) == (expected, 0)


def test_the_cases_cover_every_glue_task():
    assert {case[0] for case in LAYOUT_CASES} == set(TASKS) - {"restaurants"}


def test_the_folder_may_be_the_tasks_own(tmp_path):
    write(tmp_path, "RTE/train.tsv", f"{RTE_HEADER}0\ta\tb\tentailment\n")
    columns, _ = read_split(get_task("rte"), tmp_path / "RTE", "train")
    assert columns["sentence1"] == ["a"]


def test_windows_line_ends_and_a_missing_last_one_make_no_difference(tmp_path):
    write(tmp_path, "train.tsv", "index\tsentence1\tsentence2\tlabel\r\n0\ta\tb\tentailment\r\n1\tc\td\tentailment")
    columns, _ = read_split(get_task("rte"), tmp_path, "train")
    assert columns == {"index": [0, 1], "sentence1": ["a", "c"], "sentence2": ["b", "d"], "label": [0, 0]}


def test_only_a_line_feed_ends_a_row(tmp_path):
    write(tmp_path, "train.tsv", f"{RTE_HEADER}0\ta\u2028b\x85c\x0b\td\tentailment\n")
    columns, _ = read_split(get_task("rte"), tmp_path, "train")
    assert columns["sentence1"] == ["a\u2028b\x85c\x0b"]


def test_available_splits_are_those_with_a_file(tmp_path):
    write(tmp_path, "MNLI/train.tsv", "")
    write(tmp_path, "MNLI/dev_matched.tsv", "")
    write(tmp_path, "MNLI/test_mismatched.tsv", "")
    found = available_splits(get_task("mnli"), tmp_path)
    assert found == ("train", "validation_matched", "test_mismatched")


def test_missing_folder_is_named(tmp_path):
    message = refusal(tmp_path / "nowhere", "rte", "train")
    assert message == (
        f"data.data_dir: must be an existing folder, got {tmp_path / 'nowhere'}; give the folder of the GLUE files"
    )


def test_missing_file_lists_what_is_there(tmp_path):
    write(tmp_path, "QQP/train_subset.tsv", "")
    write(tmp_path, "QQP/dev.tsv", "")
    assert refusal(tmp_path, "qqp", "train") == (
        f"{tmp_path}/QQP/train.tsv: must be an existing file, got a folder with dev.tsv, train_subset.tsv; "
        "put the official QQP file there or give another --data.data_dir"
    )


def test_truncated_line_names_file_line_and_columns(tmp_path):
    path = write(tmp_path, "train.tsv", f"{RTE_HEADER}0\ta\tb\tentailment\n1\ta\n")
    assert refusal(tmp_path, "rte", "train") == (
        f"{path}, line 3: must be 4 tab-separated columns (index, sentence1, sentence2, label), got 2 columns; "
        "the line is cut off or was edited: download the file again"
    )


def test_line_with_a_column_too_many_is_refused(tmp_path):
    path = write(tmp_path, "train.tsv", "gj04\t1\t\tGood.\ngj04\t1\t\tTab\there.\n")
    message = refusal(tmp_path, "cola", "train")
    assert message.startswith(f"{path}, line 2: must be 4 tab-separated columns (source, label, mark, sentence), got 5")


def test_blank_line_inside_is_refused(tmp_path):
    path = write(tmp_path, "train.tsv", f"{RTE_HEADER}\n1\ta\tb\tentailment\n")
    assert f"{path}, line 2: must be 4 tab-separated columns" in refusal(tmp_path, "rte", "train")
    assert "got 1 column;" in refusal(tmp_path, "rte", "train")


def test_missing_column_names_expected_and_found(tmp_path):
    path = write(tmp_path, "train.tsv", "index\tsentence1\tlabel\n0\ta\tentailment\n")
    assert refusal(tmp_path, "rte", "train") == (
        f"{path}, line 1: must be a header with the columns sentence1, sentence2, label, "
        "got index, sentence1, label; use the official RTE file"
    )


def test_test_file_in_the_place_of_a_labelled_one_is_refused(tmp_path):
    write(tmp_path, "dev.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n")
    assert "line 1: must be a header with the columns sentence1, sentence2, label" in refusal(
        tmp_path, "rte", "validation"
    )


@pytest.mark.parametrize(
    ("task", "content", "line", "allowed", "given"),
    [
        ("rte", f"{RTE_HEADER}0\ta\tb\tneutral\n", 2, "entailment, not_entailment", "'neutral'"),
        ("rte", f"{RTE_HEADER}0\ta\tb\t1\n", 2, "entailment, not_entailment", "'1'"),
        ("sst2", "sentence\tlabel\na\t1\nb\t2\n", 3, "0, 1", "'2'"),
        ("sst2", "sentence\tlabel\na\tpositive\n", 2, "0, 1", "'positive'"),
        ("cola", "gj04\t-1\t\ta\n", 1, "0, 1", "'-1'"),
    ],
)
def test_label_outside_the_task_is_refused(tmp_path, task, content, line, allowed, given):
    path = write(tmp_path, "train.tsv", content)
    message = refusal(tmp_path, task, "train")
    assert message == f"{path}, line {line}: must be a label out of {allowed}, got {given}; correct it"


@pytest.mark.parametrize("score", ["5.001", "-0.1", "nan", "inf", "high", ""])
def test_score_outside_0_to_5_is_refused(tmp_path, score):
    path = write(tmp_path, "train.tsv", f"sentence1\tsentence2\tscore\na\tb\t5.0\na\tb\t{score}\n")
    message = refusal(tmp_path, "stsb", "train")
    assert message.startswith(f"{path}, line 3: must be a score in [0, 5], got '{score}'")


@pytest.mark.parametrize("task", ["rte", "cola"])
@pytest.mark.parametrize("content", ["", "\n", "\ufeff\n"])
def test_empty_file_is_refused(tmp_path, task, content):
    path = write(tmp_path, "train.tsv", content)
    assert refusal(tmp_path, task, "train").startswith(f"{path}: must be a file with data, got an empty file")


def test_header_without_rows_is_refused(tmp_path):
    path = write(tmp_path, "train.tsv", RTE_HEADER)
    assert refusal(tmp_path, "rte", "train").startswith(f"{path}: must be a file with data rows, got a header alone")


def test_other_encoding_names_line_and_byte(tmp_path):
    path = write(tmp_path, "train.tsv", f"{RTE_HEADER}0\ta\tb\tentailment\n1\t".encode() + b"caf\xe9\tb\tentailment\n")
    assert refusal(tmp_path, "rte", "train").startswith(f"{path}, line 3: must be UTF-8 text, got the byte 0xe9")


def test_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "train.tsv").mkdir()
    assert refusal(tmp_path, "rte", "train").startswith(f"{tmp_path}/train.tsv: must be a readable file")


def qqp_lines(count):
    return [f"{i}\t1\t2\tq{i}?\tr{i}?\t0\n" for i in range(count)]


def test_known_broken_lines_of_qqp_are_left_out_and_counted(tmp_path):
    lines = qqp_lines(3000)
    lines[10:10] = ["5\t1\t2\tWhy\n", "so?\tHow?\t0\n"]  # One row with a line break in its question.
    write(tmp_path, "train.tsv", QQP_HEADER + "".join(lines))
    columns, broken = read_split(get_task("qqp"), tmp_path, "train")
    assert broken == 2
    assert columns["question1"] == [f"q{i}?" for i in range(3000)]
    assert columns["index"][8:12] == [8, 9, 12, 13]


def test_more_broken_lines_of_qqp_than_known_are_refused(tmp_path):
    path = write(tmp_path, "train.tsv", QQP_HEADER + "".join(qqp_lines(3000)) + "1\t2\n" * 4 + qqp_lines(1)[0])
    assert refusal(tmp_path, "qqp", "train").startswith(f"{path}, line 3002: must be 6 tab-separated columns")


def test_truncated_last_line_of_qqp_is_refused(tmp_path):
    path = write(tmp_path, "train.tsv", QQP_HEADER + "".join(qqp_lines(3000)) + "3000\t1\t2\tWhy")
    assert refusal(tmp_path, "qqp", "train").startswith(f"{path}, line 3002: must be 6 tab-separated columns")


@pytest.mark.parametrize(
    ("task", "split", "counts"),
    [
        ("cola", "train", {1: 6023, 0: 2528}),
        ("cola", "validation", {1: 721, 0: 322}),
        ("mrpc", "train", {1: 2474, 0: 1194}),
        ("mrpc", "validation", {1: 279, 0: 129}),
        ("rte", "train", {0: 1249, 1: 1241}),
        ("rte", "validation", {0: 146, 1: 131}),
        ("sst2", "train", {1: 37569, 0: 29780}),
        ("sst2", "validation", {1: 444, 0: 428}),
        ("qnli", "validation", {0: 2702, 1: 2761}),
        ("mnli", "validation_matched", {0: 3479, 1: 3123, 2: 3213}),
    ],
)
def test_real_files_have_the_documented_labels(real_glue, task, split, counts):
    columns, broken = read_split(get_task(task), real_glue, split)
    assert Counter(columns["label"]) == counts
    assert broken == 0


@pytest.mark.parametrize(
    ("task", "split", "rows"),
    [
        ("cola", "test", 1063),
        ("mrpc", "test", 1725),
        ("rte", "test", 3000),
        ("sst2", "test", 1821),
        ("qnli", "test", 5463),
        ("stsb", "train", 5749),
        ("stsb", "validation", 1500),
        ("stsb", "test", 1379),
    ],
)
def test_real_files_have_the_documented_row_counts(real_glue, task, split, rows):
    columns, _ = read_split(get_task(task), real_glue, split)
    assert columns["index"] == list(range(rows))
    assert ("label" in columns) == (split != "test")


def test_real_subset_of_qqp_reads_in_the_official_layout(real_glue, tmp_path):
    (tmp_path / "train.tsv").write_bytes((real_glue / "QQP" / "train_subset.tsv").read_bytes())
    columns, broken = read_split(get_task("qqp"), tmp_path, "train")
    assert (Counter(columns["label"]), broken) == ({1: 8747, 0: 14750}, 0)
