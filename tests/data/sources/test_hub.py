"""Sets on the hub."""

import pytest
from datasets import Dataset

from dylora.data.sources.hub import hub_key, load_from_hub
from dylora.errors import InputError


@pytest.mark.parametrize(("configuration", "called"), [(None, "some/set"), ("rte", r"some/set \(rte\)")])
def test_what_cannot_be_loaded_says_how_to_work_offline(configuration, called, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach it\non the Hub")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    expected = rf"^data\.data_dir: must be a folder where {called} cannot be loaded .*; give the TSV files with --data"
    with pytest.raises(InputError, match=expected):
        load_from_hub("some/set", "the TSV files", configuration)


def test_the_key_changes_with_the_rows():
    rows = Dataset.from_dict({"a": [1, 2, 3]})
    assert hub_key(rows) == hub_key(rows)
    assert hub_key(rows) != hub_key(rows.select([0, 2]))
