"""Sets on the hub."""

import os
import socket
import subprocess
import sys
import threading

import pytest
from datasets import Dataset

from dylora.backbones import hub
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


ASK = """
from dylora.data.sources.hub import load_from_hub
from dylora.errors import InputError
from huggingface_hub import constants
from datasets import config
try:
    load_from_hub("some/set", "the TSV files")
except InputError as error:
    print(error)
assert not constants.HF_HUB_OFFLINE and not config.HF_HUB_OFFLINE
"""


def _close_at_once(server, asked):
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        asked.append(1)
        connection.close()


def test_a_hub_that_does_not_answer_is_asked_once_and_not_again_and_again(tmp_path):
    asked = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_close_at_once, args=(server, asked), daemon=True).start()
        environment |= {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"}
        run = [sys.executable, "-c", ASK]
        found = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("data.data_dir: must be a folder where some/set cannot be loaded")
    assert found.stdout.count("\n") == 1
    assert len(asked) == 1


def test_a_folder_needs_no_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_answers", lambda endpoint: pytest.fail("asked the hub"))
    monkeypatch.setattr("datasets.load_dataset", lambda name, configuration: name)
    assert load_from_hub(str(tmp_path), "files") == str(tmp_path)
