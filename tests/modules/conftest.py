"""A tiny backbone on disk, shared by the tests of the modules."""

import pytest
import tiny


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return tiny.save_backbone(tmp_path_factory.mktemp("modules") / "backbone")
