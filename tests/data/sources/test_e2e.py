"""The E2E set in its two forms."""

from pathlib import Path

import pytest
import real_text

from dylora.data import E2EDataModule
from dylora.data.sources import e2e
from dylora.data.sources.e2e import parse, read_slots
from dylora.data.sources.text import source_for
from dylora.data.sources.text_items import Entry, group, pairs
from dylora.errors import InputError

PATH = Path("trainset.csv")
RECORD = "name[The Mill], eatType[pub], priceRange[£20-25], familyFriendly[yes], near[Café Sicilia]"
CSV = f'mr,ref\r\n"{RECORD}",A family-friendly pub.  It\'s near Café Sicilia.\r\n'


def test_the_official_form_keeps_names_and_texts():
    assert parse(CSV.encode(), PATH, "official") == [
        Entry(
            "name : The Mill | eatType : pub | priceRange : £20-25 | familyFriendly : yes | near : Café Sicilia",
            ("A family-friendly pub.  It's near Café Sicilia.",),
        )
    ]


def test_the_respaced_form_renames_slots_and_sets_off_punctuation():
    assert parse(CSV.encode(), PATH, "respaced") == [
        Entry(
            "name : The Mill | Type : pub | price : £ 20 - 25 | family friendly : yes | near : Café Sicilia",
            ("A family - friendly pub . It 's near Café Sicilia .",),
        )
    ]


@pytest.mark.parametrize("form", ["official", "respaced"])
def test_a_line_break_inside_a_text_becomes_a_space(form):
    content = 'mr,ref\r\nname[A],"One\r\n  two"\r\nname[B],Three\r\n'
    assert pairs(parse(content.encode(), PATH, form)) == [("name : A", "One two"), ("name : B", "Three")]


def test_upper_case_header_and_no_references():
    assert parse(b'MR\n"name[A], food[B]"\n', PATH, "official") == [Entry("name : A | food : B", ())]


def test_values_may_hold_commas_and_be_empty():
    assert read_slots("name[A, B], food[]") == [("name", "A, B"), ("food", "")]


@pytest.mark.parametrize("record", ["", "name", "name[A", "name[A], food", "name[A] food[B]x", "[A]"])
def test_incomplete_records_are_none(record):
    assert read_slots(record) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "trainset.csv: must be a file with data, got an empty file; download it again"),
        ("mr,ref\n", "trainset.csv: must be a file with data rows, got a header alone; download it again"),
        (
            "a,b\nname[A],x\n",
            "trainset.csv, line 1: must be a header with the columns mr and ref (mr alone for a test set without "
            "references), got a, b; use the official E2E file",
        ),
        (
            'mr,ref\nname[A],x\n"name[B], food',
            "trainset.csv, line 3: must be CSV with closed quotes, got a file that ends too early (unexpected end of "
            "data); download it again",
        ),
        (
            "mr,ref\nname[A],x\nname[B]",
            "trainset.csv, line 3: must be 2 cells and a complete record such as name[...], food[...], got 'name[B]'; "
            "the line is cut off: download it again",
        ),
        (
            "mr,ref\nname[A,x\n",
            "trainset.csv, line 2: must be 2 cells and a complete record such as name[...], food[...], got "
            "'name[A,x'; the line is cut off: download it again",
        ),
    ],
)
def test_broken_files_are_told_in_one_line(content, message):
    with pytest.raises(InputError) as caught:
        parse(content.encode(), PATH, "official")
    assert str(caught.value) == message


def test_there_are_two_forms():
    with pytest.raises(InputError) as caught:
        E2EDataModule(form="both")
    assert str(caught.value) == "data.form: must be official or respaced, got 'both'; choose one of the two"


def test_the_full_name_says_the_form(tmp_path):
    for form in ("official", "respaced"):
        module = E2EDataModule(form, data_dir=str(tmp_path))
        assert (module.task_name, module.run_name, module.name) == ("e2e", "e2e", f"e2e-{form}")


def test_a_row_of_the_hub_is_read_as_one_of_the_file():
    row = {"meaning_representation": RECORD, "human_reference": "A family-friendly pub.  It's near Café Sicilia."}
    for form in ("official", "respaced"):
        assert [e2e.corpus(form).from_hub(row)] == parse(CSV.encode(), PATH, form)


@pytest.mark.parametrize("form", ["official", "respaced"])
def test_counts_of_the_real_files(form):
    source = source_for(e2e.corpus(form), str(real_text.nlg_data()))
    splits = {split: source.entries(split) for split in ("train", "validation", "test")}
    assert {split: len(pairs(entries)) for split, entries in splits.items()} == {
        "train": 42061,
        "validation": 4672,
        "test": 4693,
    }
    items = {split: group(entries) for split, entries in splits.items()}
    assert {split: len(found) for split, found in items.items()} == {"train": 4862, "validation": 547, "test": 630}
    assert sum(len(item.references) for item in items["test"]) == 4693
    assert not any("\n" in text for entries in splits.values() for _, text in pairs(entries))


def test_items_of_the_real_test_set_with_and_without_references_are_the_same():
    folder = real_text.nlg_data() / "e2e"
    for form in ("official", "respaced"):
        without = parse((folder / "testset.csv").read_bytes(), PATH, form)
        whole = parse((folder / "testset_w_refs.csv").read_bytes(), PATH, form)
        assert sorted(item.source for item in group(without)) == sorted(item.source for item in group(whole))
        assert not pairs(without)


def test_the_respaced_test_file_has_the_length_of_the_published_one():
    entries = parse((real_text.nlg_data() / "e2e" / "testset_w_refs.csv").read_bytes(), PATH, "respaced")
    assert sum(len(f"{source}||{text} \n") for source, text in pairs(entries)) == 1_346_527


def test_lines_of_the_lora_code_base():
    entries = parse((real_text.nlg_data() / "e2e" / "testset_w_refs.csv").read_bytes(), PATH, "respaced")
    golden = real_text.linearisation()["e2e"]["items"]
    assert golden
    for item in golden:
        (pair,) = item["pairs"]
        assert pairs([entries[item["line"] - 1]]) == [(pair["context"], pair["completion"])]
