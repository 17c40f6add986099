"""What a cut of a run needs of the data that the run was trained on."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from typing_extensions import override

from dylora.adapters.active_rank import rank_state
from dylora.adapters.cuts import Cut
from dylora.callbacks.cut import CutAdapter
from dylora.cli.lightning_cli import DyLoRACLI, run_cli
from dylora.cli.quiet import quiet
from dylora.cli.run_arguments import completed
from dylora.modules.base import EveryRankModule

_ONE_PROCESS = ("--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto")


def cut_of_run(checkpoint: Path, kind: Cut, examples: int) -> CutAdapter:
    """Run training examples of a run's own data through a checkpoint of it, as `validate --cut` does.

    Args:
        checkpoint: In the folder of its run, whose `config.yaml` names the data.
        kind: `two-sided` or `learned`.
        examples: How many examples weigh the two-sided cut.

    Returns:
        With its `calibration`, and for `learned` its `order`.

    Raises:
        InputError: If the run's configuration or its training data is missing, or its outputs are of no known kind.
    """
    cut = [f"--cut={kind}", f"--cut_examples={examples}"]
    options = [f"--ckpt_path={checkpoint}", *cut, "--trainer.limit_val_batches=1"]
    (_, *arguments), _ = completed(["validate", *options, *_ONE_PROCESS])
    quiet()  # again: Lightning's handlers are there now
    return run_cli(_CutCLI, "validate", arguments).adapter


class _CutCLI(DyLoRACLI):
    """`validate` of one batch at one rank, for what is done before it."""

    adapter: CutAdapter

    @override
    def validate(self, model: LightningModule, **options: Any) -> None:
        assert isinstance(model, EveryRankModule)
        model.eval_ranks = (rank_state(model.model).config.max_rank,)
        self.adapter = CutAdapter(self._get(self.config, "cut"), self._get(self.config, "cut_examples"))
        self.trainer.callbacks.append(self.adapter)  # type: ignore[attr-defined]
        self.trainer.validate(model, **options, verbose=False)
