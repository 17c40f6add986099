"""A record as one line."""

from dylora.data.linearise import linearise


def test_triples_are_joined_as_in_the_lora_code_base():
    triples = [("Mars Hill College", "joined", "1973"), ("Mars Hill College", "location", "Mars Hill, North Carolina")]
    assert linearise(triples) == (
        "Mars Hill College : joined : 1973 | Mars Hill College : location : Mars Hill, North Carolina"
    )


def test_slots_are_joined_as_in_the_lora_code_base():
    assert linearise([("name", "Zizzi"), ("Type", "pub")]) == "name : Zizzi | Type : pub"
