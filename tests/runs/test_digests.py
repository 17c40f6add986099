"""Digests name what has changed, and are the same for the same content however it was written."""

import io

import pytest
import torch

from dylora.runs.digests import DIGESTS, differing, digests_of

CONTENT = {
    "state_dict": {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2, 3), "half": torch.ones(3).bfloat16()},
    "states": [{"state": {0: {"step": torch.tensor(3.0), "none": torch.zeros(0)}}, "lr": 0.1, "betas": (0.9, 0.999)}],
    "name": "n\ud800",
    "step": 3,
    "flags": {True, None},
}


def _written(**changes):
    return {**CONTENT, DIGESTS: digests_of(CONTENT), **changes}


def test_they_outlive_saving_and_do_not_depend_on_the_order_of_names():
    buffer = io.BytesIO()
    torch.save(_written(), buffer)
    read = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    assert differing(read) is None
    assert differing(dict(reversed(read.items()))) is None
    assert set(read[DIGESTS]["tensors"]) == {
        *("state_dict/a", "state_dict/b", "state_dict/half"),
        *("states/0/state/0/step", "states/0/state/0/none"),
    }


def test_a_view_has_the_digest_of_its_values():
    whole = torch.arange(12.0)
    assert digests_of({"a": whole[::2]}) == digests_of({"a": whole[::2].clone()})


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (torch.nextafter(torch.arange(6.0), torch.tensor(9.0)).reshape(2, 3), "1 of 5 tensors changed, state_dict/a"),
        (torch.arange(6.0), "state_dict/a"),  # another shape
        (torch.arange(6.0).reshape(2, 3).double(), "state_dict/a"),
        (torch.arange(6.0).reshape(2, 3).view(torch.int32), "state_dict/a"),
        (torch.zeros(2, 3), "state_dict/a"),
    ],
)
def test_a_tensor_that_changed_is_named(a, words):
    assert words in differing(_written(state_dict={**CONTENT["state_dict"], "a": a}))


def test_two_that_were_swapped_are_both_named():
    swapped = {**CONTENT["state_dict"], "a": CONTENT["state_dict"]["b"], "b": CONTENT["state_dict"]["a"]}
    assert "2 of 5 tensors changed, state_dict/a first" in differing(_written(state_dict=swapped))


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 4},
        {"step": 3.0},
        {"step": True},
        {"step": "3"},
        {"new": None},
        {"flags": {True}},
        {"states": [{**CONTENT["states"][0], "betas": [0.9, 0.999]}]},
    ],
)
def test_a_field_that_changed_is_found(changes):
    assert "fields changed" in differing(_written(**changes))


def test_missing_and_new_tensors_and_foreign_digests_are_found():
    assert "missing or new" in differing(_written(states=[]))
    assert "missing or new" in differing(_written(more=torch.ones(1)))
    for other in (None, {}, {"algorithm": "crc"}, {**digests_of(CONTENT), "tensors": 3}):
        assert differing(_written(**{DIGESTS: other})) is not None


def test_a_tensor_that_would_ask_for_all_memory_is_refused():
    with pytest.raises(ValueError, match="a repeats its values"):
        digests_of({"a": torch.ones(1).expand(2**40)})
