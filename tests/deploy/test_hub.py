"""Uploads against a stub of the hub's API, in processes of their own: the library reads its settings at import."""

import os
import subprocess
import sys

import pytest
from hub_stub import TOKEN, hub

_PUSH = """
import sys
from pathlib import Path
from dylora.deploy.hub import check_name, push
from dylora.errors import InputError
try:
    check_name(sys.argv[2])
    print(push(Path(sys.argv[1]), sys.argv[2]))
except InputError as error:
    print(f"refused: {error}")
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "adapter"
    (made / "rank_1").mkdir(parents=True)
    (made / "README.md").write_text("---\ntags:\n- lora\n---\n# An adapter\n")
    (made / "rank_1" / "adapter_model.safetensors").write_bytes(bytes(range(256)))
    return made


def pushed(folder, endpoint, name="me/adapter", **environment):
    home = folder.parent / "home"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    command = [sys.executable, "-c", _PUSH, str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**kept, **settings})
    return done.stdout.strip()


@pytest.mark.slow
def test_a_folder_is_uploaded_whole(folder):
    with hub() as server:
        address = f"http://127.0.0.1:{server.server_port}"
        assert pushed(folder, address, HF_TOKEN=TOKEN) == f"{address}/me/adapter"
    assert server.files["rank_1/adapter_model.safetensors"] == bytes(range(256))
    assert server.files["README.md"].startswith(b"---\ntags:")


@pytest.mark.slow
def test_bad_tokens_names_and_networks_are_told_in_one_line(folder):
    with hub() as server:
        address = f"http://127.0.0.1:{server.server_port}"
        for environment in ({"HF_TOKEN": "hf_wrong"}, {}):
            line = pushed(folder, address, **environment)
            assert line.startswith("refused: --push_to_hub: must be a name that your token may write to, got 'me/adap")
            assert "HF_TOKEN" in line
            assert "\n" not in line
    assert not server.files
    line = pushed(folder, address, HF_TOKEN=TOKEN)  # nobody is there any more
    assert line.startswith("refused: --push_to_hub: must be given where the hub can be reached, got no connection")
    assert pushed(folder, address, HF_TOKEN=TOKEN, HF_HUB_OFFLINE="1").count("must be given where the hub") == 1
    assert "--push_to_hub: must be USER/NAME, got 'a/b/c'" in pushed(folder, address, "a/b/c")
