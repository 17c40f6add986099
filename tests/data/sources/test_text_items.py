"""Pairs to train on and items to score."""

from dylora.data.sources.text_items import Entry, Item, group, linearise, pairs

ENTRIES = [
    Entry("a", ("a1", "a2"), {"seen": "S"}),
    Entry("b", ("b1",), {"seen": "U"}),
    Entry("a", ("a3", "a2"), {"seen": "S"}),
]


def test_every_text_makes_a_pair_repeated_ones_too():
    assert pairs(ENTRIES) == [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("a", "a2")]


def test_entries_with_one_source_make_one_item_at_the_place_of_the_first():
    assert group(ENTRIES) == [
        Item("a", ("a1", "a2", "a3", "a2"), {"seen": "S"}),
        Item("b", ("b1",), {"seen": "U"}),
    ]


def test_the_first_references_are_kept():
    assert [item.references for item in group(ENTRIES, most=3)] == [("a1", "a2", "a3"), ("b1",)]


def test_an_empty_text_is_trained_on_and_counted_but_no_reference():
    entries = [Entry("a", ("", "x", " ", "y"))]
    assert pairs(entries) == [("a", ""), ("a", "x"), ("a", " "), ("a", "y")]
    assert group(entries, most=3) == [Item("a", ("x",))]


def test_an_entry_without_texts_is_an_item_unless_all_its_texts_are_faulty():
    entries = [Entry("a", ()), Entry("b", (), rejected=("bad",)), Entry("c", ("good",), rejected=("bad",))]
    assert group(entries) == [Item("a", ()), Item("c", ("good",))]
    assert pairs(entries) == [("c", "good")]


def test_triples_are_joined_as_in_the_lora_code_base():
    triples = [("Mars Hill College", "joined", "1973"), ("Mars Hill College", "location", "Mars Hill, North Carolina")]
    assert linearise(triples) == (
        "Mars Hill College : joined : 1973 | Mars Hill College : location : Mars Hill, North Carolina"
    )


def test_slots_are_joined_as_in_the_lora_code_base():
    assert linearise([("name", "Zizzi"), ("Type", "pub")]) == "name : Zizzi | Type : pub"
