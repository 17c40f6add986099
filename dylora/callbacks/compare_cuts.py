"""At the end of training: whether the adapter is better when it is sorted and cut than as it was trained."""

from dataclasses import dataclass
from time import perf_counter

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from typing_extensions import override

from dylora.adapters.cuts import Cut, cut
from dylora.adapters.sensitivity import MOST_BYTES, statistics_bytes
from dylora.callbacks.calibration import Calibration, calibrate
from dylora.callbacks.rank_curves import RankCurves
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.callbacks.validate_again import best_weights, evaluating, validation_batches, weights_of, whole
from dylora.modules.base import EveryRankModule
from dylora.rank_curve.compare import Comparison, compare
from dylora.rank_curve.kept import KeptOutcomes, figures_of

_EXAMPLES = 1000


@dataclass(frozen=True)
class CutResult:
    """What a cut gave at the end of training.

    Attributes:
        kind: The cut.
        comparison: With the adapter as it was trained.
        seconds: Of cutting and evaluating.
        calibration: Of the two-sided cut.
    """

    kind: Cut
    comparison: Comparison
    seconds: float
    calibration: Calibration | None


class CompareCuts(Callback):
    """Evaluate the best checkpoint under the SVD and the two-sided cut, on the examples of its validation.

    Nothing is logged, and the weights are the same afterwards. No text is generated. The two-sided cut is left out
    where its statistics need more than 1 GiB, and where training ends with a sort by it.

    Attributes:
        results: What the cuts gave; in the first process only.
        skipped: Why a cut was left out; empty if none was.

    Args:
        curves: Of the same run; keeps the outcomes of the best epoch.
    """

    def __init__(self, curves: RankCurves) -> None:
        self.curves = curves
        self.results: list[CutResult] = []
        self.skipped = ""

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, if the module has adapters of several ranks and its outcomes are kept."""
        if not isinstance(pl_module, EveryRankModule) or not pl_module.method.has_adapters:
            return
        trained = self.curves.best_outcomes() if trainer.is_global_zero else None
        has_curve = trained is not None and len(trained.ranks) > 1 and trained.examples > 1
        weights = best_weights(self.curves.folder) if has_curve else None
        weights = trainer.strategy.broadcast(weights)
        if weights is None:
            return
        with weights_of(pl_module, weights), evaluating(pl_module):
            for kind in self._kinds(trainer, pl_module.model):
                self._compare(kind, trained, trainer, pl_module)

    def _kinds(self, trainer: Trainer, model: nn.Module) -> list[Cut]:
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(each, RankSamplingCallback) and each.sorts_at_the_end for each in callbacks):
            return ["svd"]  # the two-sided cut is what its sort began with
        needed = statistics_bytes(model)
        if needed <= MOST_BYTES:
            return ["svd", "two-sided"]
        self.skipped = f"two-sided cut not tried: its statistics need {needed / 2**30:.1f} GiB"
        return ["svd"]

    def _compare(self, kind: Cut, trained: KeptOutcomes | None, trainer: Trainer, module: EveryRankModule) -> None:
        calibration = None
        if kind == "two-sided":
            calibration = calibrate(trainer, module, _EXAMPLES, whole(trainer.num_training_batches))
        start = perf_counter()
        with cut(module.model, kind, calibration.sensitivities if calibration else None):
            found = outcomes_on_validation(trainer, module)
        if trained is not None and found is not None:
            comparison = compare(trained, found, module.higher_is_better)
            self.curves.cut_figures[kind] = figures_of(found)
            self.results.append(CutResult(kind, comparison, perf_counter() - start, calibration))


def outcomes_on_validation(trainer: Trainer, module: EveryRankModule) -> KeptOutcomes | None:
    """Each validation example's outcome at each rank, without figures and texts; all processes have to call it.

    Args:
        trainer: In a training run or a validation, with its loaders.
        module: In evaluation mode.
    """
    for split, batch in validation_batches(trainer, module, "Comparing a cut with the adapter as trained"):
        if "labels" in batch:  # the others are prompts to generate from
            for rank, _, outputs in module.outputs_at_ranks(batch):
                module.keep_outcomes(rank, outputs, batch, split)
    module.await_others()
    return module.take_outcomes()


def cut_words(results: list[CutResult], skipped: str = "") -> list[str]:
    """How the cuts compare, a line each, and which one to use if any is better by more than its interval."""
    lines = [_line(result) for result in results] + ([skipped] if skipped else [])
    better = [result for result in results if result.comparison.is_better]
    if not results:
        return lines
    if not better:
        return [*lines, "As trained is not shown to be worse than any of them in the mean over the ranks."]
    best = max(better, key=lambda result: result.comparison.mean.value)
    ranks = ", ".join(str(rank) for rank, gain in best.comparison.gains.items() if gain.low > 0)
    at = f", at rank {ranks} alone too" if ranks else ""
    words = f"The {best.kind} cut of it is better in the mean over the ranks{at}"
    return [*lines, f"{words}: python -m dylora validate --cut {best.kind}"]


def _line(result: CutResult) -> str:
    mean = result.comparison.mean
    gain = f"{mean.value:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}] (95 %)"
    how = f"; {result.calibration}" if result.calibration else ""
    return f"Cut {result.kind + ',':<11}against as trained, mean over the ranks: {gain}; {result.seconds:.1f} s{how}"
