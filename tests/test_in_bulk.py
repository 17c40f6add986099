"""Damaged inputs in bulk: each is refused in one line of one form, or taken for what it says; nothing else happens."""

import pytest

pytest.importorskip("hypothesis")

from faults.bulk import try_in_bulk, whole_commands
from faults.readers import has_digests, readers

_EXAMPLES = {"checkpoints": 300}
_FEW = 100


@pytest.mark.slow
@pytest.mark.parametrize("reader", readers(), ids=lambda reader: reader.name)
def test_what_each_reader_makes_of_damaged_inputs(reader):
    tally = try_in_bulk(reader, _EXAMPLES.get(reader.name, _FEW))
    faults = [fault for fault in tally.faults if has_digests() or not fault[0].startswith("silently accepted")]
    assert not faults
    assert tally.counts["refused in form"] > 10
    assert tally.counts["loaded right"] > 0


@pytest.mark.slow
def test_whole_commands_with_damaged_configurations():
    tally = try_in_bulk(whole_commands(), 25)
    assert not tally.faults
    assert tally.counts["refused in form"] > 5
    assert tally.counts["loaded right"] > 5
