"""What the validations of a run gave an exported checkpoint, for its card."""

import json
from dataclasses import dataclass
from pathlib import Path

from dylora.deploy.trained import Trained
from dylora.rank_curve.choice import RankChoice
from dylora.rank_curve.direction import higher_is_better
from dylora.rank_curve.evidence import choice_of
from dylora.rank_curve.picture import draw_rank_curve, save_picture
from dylora.rank_curve.summary import RankSummary, summarise
from dylora.runs.record import METRICS_FILE
from dylora.runs.validated import Curve, validated_choice_record, validated_metrics

PICTURE = "rank_curve.png"


@dataclass(frozen=True)
class Figures:
    """Validation metrics at every rank.

    Attributes:
        monitor: The metric that ranks are chosen by.
        metrics: Every metric at every rank.
        summary: Of the monitored metric.
        choice: The rank that the validation examples chose, with its evidence; None where none is recorded.
    """

    monitor: str
    metrics: dict[str, Curve]
    summary: RankSummary
    choice: RankChoice | None = None

    def draw(self, folder: Path, title: str) -> None:
        """Draw the monitored metric into the folder's `rank_curve.png`."""
        figure = draw_rank_curve(self.metrics[self.monitor], self.monitor, title, self.summary, self.choice)
        save_picture(figure, folder / PICTURE)


def figures_of(trained: Trained, cut: str | None) -> Figures | None:
    """The figures of a checkpoint, as it was trained or under a cut; None where its run has none.

    Args:
        trained: What is exported.
        cut: The cut.
    """
    if trained.checkpoint is None:
        return None
    try:
        about = json.loads((trained.place / METRICS_FILE).read_text(encoding="utf-8"))
        monitor, tolerance = str(about["metric"]), float(about["tolerance"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    metrics = validated_metrics(trained.place, trained.checkpoint.name, trained.step, cut)
    if not metrics or monitor not in metrics:
        return None
    record = validated_choice_record(trained.place, trained.checkpoint.name, trained.step, cut)
    choice = choice_of(record) if record and set(record.get("ranks", {})) == set(map(str, metrics[monitor])) else None
    return Figures(monitor, metrics, summarise(metrics[monitor], tolerance, higher_is_better(monitor)), choice)
