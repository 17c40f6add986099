"""The training examples that weigh the two-sided cut, taken from whatever data a trainer has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from dylora.adapters.sensitivity import Batch, Sensitivities, gather_sensitivities
from dylora.callbacks.progress_bar import with_trainers_bar
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.modules.stacked_ranks import rows_of


@dataclass(frozen=True)
class Calibration:
    """What training examples say of an adapter's layers.

    Attributes:
        sensitivities: For the two-sided cut.
        examples: Number of training examples, of all processes.
        seconds: How long it took.
    """

    sensitivities: Sensitivities
    examples: int
    seconds: float

    def __str__(self) -> str:
        return f"statistics over {self.examples:,} training examples in {self.seconds:.1f} s"


def calibrate(
    trainer: Trainer, module: EveryRankModule, examples: int = 1000, batches: int | None = None, seed: int = 0
) -> Calibration:
    """Gather the statistics of the two-sided cut from the training split; all processes have to call it.

    The rows are drawn by the seed (a data module of this package has its own), and where training stands in its data
    stays as it is.

    Args:
        trainer: With a data module, or in a training run.
        module: The adapted model as it was trained.
        examples: How many examples to take; the training split may have fewer.
        batches: Largest number of batches, where a run trains on fewer examples than there are.
        seed: Draws the rows, and labels where there are more than two classes.

    Raises:
        InputError: If there are no training examples, or the module's outputs are of no known kind.
    """
    if examples < 1:
        raise InputError("--cut_examples", "1 or more", examples, "1000 are enough")
    if module.outcome_kind is None:
        given = f"{type(module).__name__}, which has no outcome_kind"
        raise InputError("--cut", "another than two-sided for outputs of unknown kind", given, "use svd")
    processes = trainer.world_size
    drawn = islice(training_rows(trainer, examples, seed), batches)
    rows = with_trainers_bar(trainer, drawn, -(-examples // processes), "Weighing the cut", rows_of)
    counted = _Counted(on_device(trainer, module, rows))
    start = perf_counter()
    found = gather_sensitivities(
        module.model,
        counted,
        lambda batch: outputs_in_precision(trainer, module, batch),
        module.output_kind,
        examples=-(-examples // processes),
        seed=seed,
    )
    module.await_others()
    seen = _sum_over_processes(found, counted.rows) if processes > 1 else counted.rows
    return Calibration(found, seen, perf_counter() - start)


def outputs_in_precision(trainer: Trainer, module: EveryRankModule, batch: Batch) -> Tensor:
    """What the loss looks at, computed in the precision that the trainer has; the statistics themselves are fp32."""
    with trainer.precision_plugin.val_step_context():
        outputs: Tensor = module.outputs_of(dict(batch))
    return outputs


class _Counted:
    """Batches, and how many rows they had."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.rows = 0
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            self.rows += len(next(iter(batch.values())))
            yield batch


def on_device(trainer: Trainer, module: EveryRankModule, batches: Iterable[Any]) -> Iterator[Any]:
    """Batches where the module is, in the type that the precision has."""
    for batch in batches:
        moved = module.transfer_batch_to_device(batch, module.device, 0)
        yield trainer.precision_plugin.convert_input(moved)


def training_rows(trainer: Trainer, examples: int, seed: int) -> Iterable[Any]:
    """Batches of some training rows, of a data module of this package or of the loader that training has."""
    data: Any = getattr(trainer, "datamodule", None)
    try:
        if hasattr(data, "calibration_dataloader"):
            loader: Iterable[Any] = data.calibration_dataloader(examples)
            return loader
        if trainer.train_dataloader is not None:
            return _some_rows(trainer, trainer.train_dataloader, examples, seed)
        if data is not None:
            data.setup("fit")
            return _some_rows(trainer, data.train_dataloader(), examples, seed)
    except InputError as error:
        raise _no_data(str(error)) from error
    raise _no_data("none")


def _some_rows(trainer: Trainer, loader: Any, examples: int, seed: int) -> Iterable[Any]:  # noqa: ANN401
    """Rows of a loader drawn by the seed, each in one process, in a loader of their own; of a stream the first ones."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return cast(Iterable[Any], loader)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(loader.dataset), generator=generator)  # type: ignore[arg-type]
    chosen = order[:examples].tolist()[trainer.global_rank :: trainer.world_size]
    rows = Subset(loader.dataset, chosen)
    return DataLoader(rows, loader.batch_size or 1, collate_fn=loader.collate_fn, generator=generator)


def _no_data(given: str) -> InputError:
    allowed = "alpha/b, alpha/max_rank or svd where there are no training examples for two-sided"
    return InputError("--cut", allowed, given, "use svd, or give the data that it was trained on")


def _sum_over_processes(found: Sensitivities, rows: int) -> int:
    device = next(iter(found.values())).inputs.device
    for sensitivity in found.values():
        count = torch.tensor(sensitivity.rows, device=device)
        for tensor in (sensitivity.inputs, sensitivity.gradients, count):
            dist.all_reduce(tensor)
        sensitivity.rows = int(count)
    total = torch.tensor(rows, device=device)
    dist.all_reduce(total)
    return int(total)
