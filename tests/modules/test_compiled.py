"""A compiled backbone has one graph to train and one to evaluate, whatever the ranks and the lengths."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from dylora.adapters.active_rank import rank_state
from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.compiled import compile_backbone


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_one_graph_for_all_ranks_rows_and_lengths(tmp_path, backend):
    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    backbone = tiny.save_backbone(tmp_path / "backbone")
    script = Path(__file__).with_name("one_graph.py")
    command = [sys.executable, str(script), str(backbone), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report.pop("difference") < 1e-5
    tasks = ("training", "evaluation", "training of a language model", "evaluation of a language model")
    assert report == dict.fromkeys(tasks, 1)


def test_frozen_mode_is_refused(tmp_path):
    backbone = tiny.save_backbone(tmp_path / "backbone")
    module = SequenceClassificationModule("restaurants", backbone, DyLoRAConfig(max_rank=4), compile=True)
    assert rank_state(module.model).compiled
    with pytest.raises(InputError, match=r"model\.compile: must be false for frozen mode"):
        module.plan_step((2,), (1.0,), frozen=True)


def test_a_model_without_a_backbone_of_its_own_is_refused(tmp_path):
    module = SequenceClassificationModule("restaurants", tiny.save_backbone(tmp_path / "b"), DyLoRAConfig(max_rank=4))
    with pytest.raises(InputError, match=r"model\.compile: must be false for a model whose backbone and head are one"):
        compile_backbone(module.model.base_model)
