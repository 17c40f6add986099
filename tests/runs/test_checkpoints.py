"""What is refused when a checkpoint is read."""

import os
import pickle
from copy import deepcopy

import pytest
import torch

from dylora.errors import InputError
from dylora.runs.checkpoints import check_identity, identity, read_checkpoint

BACKBONE = {"name": "roberta-base", "revision": None, "fingerprint": "aa11"}
ADAPTER = {"max_rank": 8, "alpha": 16.0, "scaling": "alpha/b", "target_modules": None}
OURS = identity("rte", BACKBONE, ADAPTER)


def _changed(**changes):
    other = deepcopy(OURS)
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            other[part][name] = value
        else:
            other[part] = value
    return other


def test_the_same_identity_passes_even_under_another_name():
    check_identity(_changed(backbone__name="/models/roberta-base"), OURS)


def test_a_file_that_names_no_method_is_an_adapters():
    older = _changed()
    del older["method"]
    check_identity(older, OURS)
    with pytest.raises(InputError, match=r"trained with method full, got method adapter"):
        check_identity(older, _changed(method="full"))


def test_a_file_from_before_buffers_counted_is_known_by_the_fingerprint_of_the_parameters():
    newer = _changed(backbone__fingerprint="cc33", backbone__parameter_fingerprint="aa11")
    check_identity(OURS, newer)
    with pytest.raises(InputError, match="weights cc33"):  # a new file of other buffers
        check_identity(_changed(backbone__fingerprint="dd44", backbone__parameter_fingerprint="aa11"), newer)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (_changed(task="mrpc"), r"trained on task 'rte', got 'mrpc'; set --data.task mrpc"),
        (
            _changed(backbone__fingerprint="bb22", backbone__name="bert-base"),
            r"backbone 'roberta-base' \(weights aa11\), got one trained on 'bert-base' \(weights bb22\)",
        ),
        (
            _changed(method="flop"),
            r"trained with method adapter, got method flop; choose its class with --model.method",
        ),
        (_changed(adapter__max_rank=4), r"trained with max_rank 8, got max_rank 4; set --model.adapter.max_rank"),
        (_changed(adapter__scaling="alpha/max_rank"), r"trained with scaling alpha/b, got scaling alpha/max_rank"),
        (_changed(format=99), r"format 2, got format 99"),
        (None, r"a dylora checkpoint of format 2, got none"),
    ],
)
def test_a_difference_names_both_sides(found, message):
    with pytest.raises(InputError, match=message):
        check_identity(found, OURS)


def test_plain_types_round_trip(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(2)}, "global_step": 1, "dylora": OURS}, tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt")["dylora"] == OURS


class _Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_is_refused_and_not_run(tmp_path, save):
    save({"state_dict": _Payload(tmp_path / "executed")}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match=r"--ckpt_path: must be"):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("size", [0, 10, 500])
def test_a_truncated_file_is_refused(tmp_path, size):
    torch.save({"state_dict": {"w": torch.ones(1000)}}, tmp_path / "a.ckpt")
    whole = (tmp_path / "a.ckpt").read_bytes()
    (tmp_path / "a.ckpt").write_bytes(whole[:size])
    with pytest.raises(InputError, match=r"corrupt, truncated or of another kind"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_flipped_bytes_and_other_files_are_refused(tmp_path):
    (tmp_path / "a.ckpt").write_text("not a checkpoint")
    with pytest.raises(InputError, match=r"corrupt"):
        read_checkpoint(tmp_path / "a.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(InputError, match=r"corrupt"):
        read_checkpoint(tmp_path / "list.ckpt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing.ckpt', which does not exist"):
        read_checkpoint(tmp_path / "nothing.ckpt")
