"""The three pictures of a run, as TensorBoard and the run's folder have them."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from dylora.modules.base import EveryRankModule
from dylora.rank_curve.choice import RankChoice
from dylora.rank_curve.epoch_pictures import draw_every_rank, draw_heat_map
from dylora.rank_curve.look import Band
from dylora.rank_curve.picture import draw_rank_curve
from dylora.rank_curve.summary import RankSummary

Record = dict[str, Any]


def run_pictures(
    history: Sequence[Record],
    module: EveryRankModule,
    record: Record,
    choice: RankChoice | None = None,
    reference: Mapping[int, float] | None = None,
) -> dict[str, Figure]:
    """Every rank over the epochs, the rank curve of one epoch, and the map of epochs and ranks, by name.

    Args:
        history: The records of all epochs.
        module: What is trained.
        record: Of the epoch whose curve is drawn.
        choice: The rank that this epoch's examples chose, where they did; that of the figures otherwise.
        reference: The monitored metric at each rank of that epoch's adapter under the SVD cut.
    """
    metric, task = module.monitor, str(module.identity["task"])
    epochs = [by_rank(past["metrics"][metric]) for past in history]
    chosen = choice.rank if choice else record["chosen_rank"]  # none where no rank has a number
    values, title = by_rank(record["metrics"][metric]), f"{task}, epoch {record['epoch']}"
    bands = record.get("intervals") if choice is None else None
    curve = draw_rank_curve(values, metric, title, summary_of(record), choice, reference, by_rank(bands or {}))
    return {
        "every_rank": draw_every_rank(epochs, metric, f"{task}: every rank", chosen, _bands(history, chosen)),
        "rank_curve": curve,
        "epoch_by_rank": draw_heat_map(epochs, metric, f"{task}: {metric} by epoch and rank"),
    }


def summary_of(record: Record) -> RankSummary:
    """The summary that an epoch's record holds."""
    return RankSummary(**{key: record[key] for key in ("mean", "aurac", "best_rank", "best", "chosen_rank")})


def by_rank(values: Mapping[str, Any]) -> dict[int, Any]:
    """Ranks as numbers, which are strings in files."""
    return {int(rank): value for rank, value in values.items()}


def _bands(history: Sequence[Record], rank: int) -> dict[int, Band]:
    """The interval of a rank in each epoch that has one; epochs counted from 1."""
    found = {i: record.get("intervals", {}).get(str(rank)) for i, record in enumerate(history, start=1)}
    return {i: (low, high) for i, (low, high) in ((i, band) for i, band in found.items() if band)}
