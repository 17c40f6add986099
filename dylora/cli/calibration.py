"""What the two-sided cut of a run is weighed with, from the data that the run was trained on."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from typing_extensions import override

from dylora.adapters.active_rank import rank_state
from dylora.callbacks.calibration import Calibration
from dylora.callbacks.cut import CutAdapter
from dylora.cli.lightning_cli import DyLoRACLI, run_cli
from dylora.cli.quiet import quiet
from dylora.cli.run_arguments import complete_arguments
from dylora.modules.base import EveryRankModule

_ONE_PROCESS = ("--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto")


def calibration_of(checkpoint: Path, examples: int) -> Calibration:
    """Run training examples of a run's own data through a checkpoint of it, as `validate --cut two-sided` does.

    Args:
        checkpoint: In the folder of its run, whose `config.yaml` names the data.
        examples: How many.

    Raises:
        InputError: If the run's configuration or its training data is missing, or its outputs are of no known kind.
    """
    options = [f"--ckpt_path={checkpoint}", f"--cut_examples={examples}", "--trainer.limit_val_batches=1"]
    _, *completed = complete_arguments(["validate", *options, *_ONE_PROCESS])
    quiet()  # again: Lightning's handlers are there now
    found = run_cli(_CalibrationCLI, "validate", completed).calibration
    assert found is not None
    return found


class _CalibrationCLI(DyLoRACLI):
    """`validate` of one batch at one rank, for the statistics that are gathered before it."""

    calibration: Calibration | None = None

    @override
    def validate(self, model: LightningModule, **options: Any) -> None:
        assert isinstance(model, EveryRankModule)
        model.eval_ranks = (rank_state(model.model).config.max_rank,)
        callback = CutAdapter("two-sided", self._get(self.config, "cut_examples"))
        self.trainer.callbacks.append(callback)  # type: ignore[attr-defined]
        self.trainer.validate(model, **options, verbose=False)
        self.calibration = callback.calibration
