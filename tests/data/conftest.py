"""Fixtures of the data tests: the real GLUE files."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_glue():
    """The real GLUE files, in the folder `shared` beside a folder that holds the repository."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "data" / "glue"
        if folder.is_dir():
            return folder
    return pytest.skip("no real GLUE data in ../shared/data/glue")
