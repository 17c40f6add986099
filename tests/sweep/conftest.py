"""A sweep of two systems on two tasks, and a command that pretends to train."""

import json
from pathlib import Path

import pytest

from dylora.sweep.file import read_sweep

TEXT = """
table: 2
tasks: {mrpc: a.yaml, rte: a.yaml}
seeds: [10, 42]
common: {trainer.max_epochs: 3}
systems:
  lora: {label: LoRA, options: {rank_sampling.distribution: max_rank}, cuts: [alpha/b, svd]}
  dylora:
presets:
  small: {tasks: {rte: a.yaml}, seeds: [7], common: {trainer.max_epochs: 1}}
"""


@pytest.fixture
def write(tmp_path):
    """Write a sweep file beside an (empty) task configuration; gives its path."""

    def file(text=TEXT):
        (tmp_path / "a.yaml").write_text("")
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return path

    return file


@pytest.fixture
def experiment(write):
    return read_sweep(write())


class Fake:
    """Carries commands out by writing the files that the real ones leave; fails or stops where it is told to.

    Attributes:
        commands: The arguments of all calls.
        outcomes: For a part of a run's place, the exit statuses of its next fits, then 0.
        scores: For a part of a run's place, the score of its last epoch.
        curves: For a part of a run's place, its values at ranks 1 and 2, as trained and under a cut.
    """

    def __init__(self):
        self.commands = []
        self.outcomes = {}
        self.scores = {}
        self.curves = {}

    def __call__(self, arguments, output):
        self.commands.append(arguments)
        options = dict(argument.removeprefix("--").split("=", 1) for argument in arguments[1:])
        if arguments[0] == "validate":
            folder = Path(options["ckpt_path"]).parents[1]
            (folder / "cuts").mkdir(exist_ok=True)
            metrics = {"accuracy": self._curve(folder)[1]}
            content = {"cut": options["cut"], "metrics": metrics}
            (folder / "cuts" / f"{options['cut'].replace('/', '-')}.json").write_text(json.dumps(content))
            return 0
        return self._fit(Path(options["trainer.default_root_dir"]), output)

    def _fit(self, place, output):
        folder = place / "task" / f"version_{len(list(place.glob('task/*')))}"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").write_text("")
        (folder / "checkpoints" / "last.ckpt").write_text("")
        status = next((self._next(part) for part in self.outcomes if part in str(place)), 0)
        if status == 0:
            score = next((value for part, value in self.scores.items() if part in str(place)), 0.5)
            last = {"score": score, "metrics": {"accuracy": self._curve(folder)[0]}}
            (folder / "rank_metrics.json").write_text(json.dumps({"metric": "accuracy", "last": last}))
        elif status == 1:
            output.write_text("Traceback\nValueError: no memory left\n")
        return status

    def _curve(self, folder):
        both = next((value for part, value in self.curves.items() if part in str(folder)), ((0.5, 0.5), (0.5, 0.5)))
        return [{"1": first, "2": second} for first, second in both]

    def _next(self, part):
        return self.outcomes[part].pop(0) if self.outcomes[part] else 0


@pytest.fixture
def fake():
    return Fake()
