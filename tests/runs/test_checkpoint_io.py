"""A checkpoint is written whole or not at all, with digests, and read when it is what was written."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
import torch

from dylora.errors import InputError
from dylora.runs.checkpoint_io import WholeCheckpoints
from dylora.runs.checkpoints import identity, read_checkpoint

ENTRY = identity("rte", {"name": "b", "revision": None, "fingerprint": "aa11"}, {"max_rank": 8})


def _checkpoint(value=1.0):
    moments = {"exp_avg": torch.full((2, 3), value), "exp_avg_sq": torch.ones(2, 3), "step": torch.tensor(4.0)}
    return {
        "state_dict": {"lora_A": torch.full((2, 3), value), "lora_B": torch.zeros(3, 2)},
        "optimizer_states": [{"state": {0: moments}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "global_step": 4,
        "epoch": 1,
        "dylora": dict(ENTRY),
    }


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "new" / "last.ckpt"
    for value in (1.0, 2.0):
        WholeCheckpoints().save_checkpoint(_checkpoint(value), path)
        read = WholeCheckpoints().load_checkpoint(path, weights_only=True)
        assert torch.equal(read["state_dict"]["lora_A"], torch.full((2, 3), value))
        assert set(read["digests"]["tensors"]) >= {"state_dict/lora_A", "optimizer_states/0/state/0/exp_avg"}
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_it_is_written_beside_the_old_one_and_not_copied_from_the_temporary_folder(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    renamed = []
    replace = os.replace
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not-there"))
    monkeypatch.setattr(os, "replace", lambda old, new: (renamed.append((Path(old), Path(new))), replace(old, new)))
    WholeCheckpoints().save_checkpoint(_checkpoint(), path)
    ((old, new),) = renamed
    assert old.parent == new.parent == tmp_path
    assert new == path


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint(_checkpoint(), path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"last.ckpt: must be one that can be written, got .*No space left on device"):
        WholeCheckpoints().save_checkpoint(_checkpoint(2.0), path)
    assert read_checkpoint(path)["state_dict"]["lora_A"].max() == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_not_written_over_good_ones(tmp_path, value):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint(_checkpoint(), path)
    with pytest.raises(InputError, match=r"weights: must be finite to be saved, got state_dict/lora_A with NaN or inf"):
        WholeCheckpoints().save_checkpoint(_checkpoint(value), path)
    assert read_checkpoint(path)["state_dict"]["lora_A"].max() == 1


def test_each_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint(_checkpoint(), path)
    whole, good = path.read_bytes(), read_checkpoint(path)
    refused = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        try:
            read = read_checkpoint(path)
        except InputError:
            refused += 1
        else:
            assert all(torch.equal(read["state_dict"][name], tensor) for name, tensor in good["state_dict"].items())
            assert read["dylora"] == good["dylora"]
            assert read["global_step"] == good["global_step"]
    assert refused > len(whole) // 7 // 4


def _set(checkpoint, place, value):
    *way, last = place.split("/")
    for name in way:
        checkpoint = checkpoint[int(name)] if name.isdigit() else checkpoint[name]
    if value is None:
        del checkpoint[last]
    else:
        checkpoint[last] = value


NAN = torch.full((2, 3), float("nan"))
CHANGES = [
    ("state_dict", None),
    ("state_dict", [1]),
    ("state_dict/lora_A", 3),
    ("state_dict/lora_A", NAN),
    ("state_dict/lora_A", torch.full((2, 3), float("inf"))),
    ("optimizer_states/0/state/0/exp_avg", NAN),
    ("optimizer_states", {"a": 1}),
    ("optimizer_states", [3]),
    ("optimizer_states/0/state", None),
    ("optimizer_states/0/state", {0: 3}),
    ("global_step", None),
    ("global_step", "4"),
    ("global_step", -1),
    ("global_step", True),
    ("dylora", 3),
    ("dylora/backbone", None),
    ("dylora/backbone", "b"),
    ("dylora/backbone/fingerprint", None),
    ("dylora/backbone/fingerprint", 3),
    ("dylora/adapter", []),
    ("dylora/task", None),
    ("dylora/format", "2"),
    ("dylora/labels", [1]),
    ("dylora/limits", {"max_length": "long"}),
]


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize(("place", "value"), CHANGES)
def test_missing_and_ill_typed_fields_and_figures_that_are_not_finite_are_refused(tmp_path, place, value, is_older):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint(_checkpoint(), path)
    content = torch.load(path, weights_only=True)
    _set(content, place, value)
    if is_older:
        del content["digests"]
    torch.save(content, path)
    with pytest.raises(InputError, match=r"--ckpt_path: must be a whole checkpoint, got .*last.ckpt', in which"):
        read_checkpoint(path)


def test_an_older_file_is_read_with_a_notice_and_its_flipped_bits_are_found(tmp_path, caplog):
    path = tmp_path / "older.ckpt"
    torch.save(_checkpoint(), path)
    with caplog.at_level("INFO"):
        read_checkpoint(path)
        read_checkpoint(path)
    assert caplog.text.count("older.ckpt holds no digests") == 1
    whole = path.read_bytes()
    place = whole.index(torch.full((2, 3), 1.0).numpy().tobytes())
    path.write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    with pytest.raises(InputError, match=r"in which older/data/\d is damaged"):
        read_checkpoint(path)


def test_another_byte_order_is_found(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint(_checkpoint(), path)
    whole = path.read_bytes()
    assert whole.count(b"little") == 1
    path.write_bytes(whole.replace(b"little", b"big\0\0\0"))
    with pytest.raises(InputError, match=r"--ckpt_path"):
        read_checkpoint(path)


def test_content_without_end_is_refused(tmp_path):
    endless: list = []
    endless.append(endless)
    torch.save({**_checkpoint(), "more": endless}, tmp_path / "a.ckpt")
    read_checkpoint(tmp_path / "a.ckpt")  # an older file: what dylora reads of it is whole
    torch.save({**_checkpoint(), "more": endless, "digests": {}}, tmp_path / "b.ckpt")
    with pytest.raises(InputError, match="corrupt"):
        read_checkpoint(tmp_path / "b.ckpt")
