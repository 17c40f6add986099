"""Outcomes are read back as they were written, and a file that is no such thing is told in one line."""

import numpy as np
import pytest

from dylora.errors import InputError
from dylora.rank_curve.kept import KeptOutcomes
from dylora.runs.outcomes_file import read_outcomes, write_outcomes


@pytest.fixture
def kept():
    values = np.array([[1, 0, 1], [1, 1, 1]], dtype=np.int32)
    split, index = np.zeros(3, dtype=np.int32), np.arange(3, dtype=np.int32)
    return KeptOutcomes("classes", "accuracy", (1, 4), values, np.array([1, 1, 0]), split, index)


def test_written_and_read(kept, tmp_path):
    write_outcomes(tmp_path / "outcomes.npz", kept, 12)
    found = read_outcomes(tmp_path / "outcomes.npz")
    assert found.step == 12
    assert (found.kept.kind, found.kept.metric, found.kept.ranks) == ("classes", "accuracy", (1, 4))
    for name in ("values", "expected", "split", "index"):
        assert np.array_equal(getattr(found.kept, name), getattr(kept, name))
    assert [path.name for path in tmp_path.iterdir()] == ["outcomes.npz"]


def test_a_missing_damaged_or_foreign_file(kept, tmp_path):
    path = tmp_path / "outcomes.npz"
    with pytest.raises(InputError, match="kept each example's outcomes"):
        read_outcomes(path)
    write_outcomes(path, kept, 12)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"x", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged or of another kind"):
            read_outcomes(path)
    with path.open("wb") as file:
        np.savez(file, format=1)
    with pytest.raises(InputError, match="damaged or of another kind"):
        read_outcomes(path)
