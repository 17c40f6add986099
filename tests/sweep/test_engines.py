"""Engines give every run back, wherever it was carried out."""

import sys

import pytest

from dylora.errors import InputError
from dylora.sweep import engines
from dylora.sweep.expansion import choose, expand


@pytest.fixture
def runs(experiment, tmp_path):
    return expand(choose(experiment, ["dylora"], [], []), "s", tmp_path, {})


class _Slot:
    is_interrupted = False

    def __init__(self, fake, environment):
        self.fake, self.environment = fake, environment

    def __call__(self, arguments, output):
        return self.fake(arguments, output)

    def interrupt(self):
        self.is_interrupted = True


def test_local_processes_carry_out_every_run(runs, fake, monkeypatch):
    monkeypatch.setattr(engines, "OwnProcess", lambda environment: _Slot(fake, environment))
    results = dict((run.place, record) for run, record in engines.local_processes(runs, 2))
    assert set(results) == {run.place for run in runs}
    assert {record.status for record in results.values()} == {"finished"}


def test_when_the_results_are_given_up_the_slots_are_interrupted(runs, fake, monkeypatch):
    slots = []
    monkeypatch.setattr(engines, "OwnProcess", lambda environment: slots.append(_Slot(fake, environment)) or slots[-1])
    results = engines.local_processes(runs, 1)
    next(results)
    results.close()
    assert [slot.is_interrupted for slot in slots] == [True]


def test_visible_gpus_are_those_that_cuda_names(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert engines.visible_gpus() == ["3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert engines.visible_gpus() == []


@pytest.mark.parametrize(("engine", "module"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_says_how_to(runs, tmp_path, monkeypatch, engine, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught:
        list(engines.slurm(runs, tmp_path, {}) if engine == "slurm" else engines.ray(runs, {}))
    assert f"'{engine}', which needs {module}; pip install \"dylora[{engine}]\"" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_a_cluster_gives_runs_and_their_failures_back(runs, tmp_path, engine):
    pytest.importorskip({"slurm": "submitit", "ray": "ray"}[engine])
    runs[0].config.write_text("model: {bakbone: x}\n")
    if engine == "slurm":
        results = engines.slurm(runs[:1], tmp_path / "slurm", {"cluster": "local", "timeout_min": 2})
    else:
        results = engines.ray(runs[:1], {"num_cpus": 1})
    ((run, record),) = list(results)
    assert (run.place, record.status) == (runs[0].place, "failed")
    assert "bakbone" in record.error
