"""A rank chosen from what an evaluation kept: the choice, as a record for files and as a table for the terminal."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from dylora.errors import InputError
from dylora.rank_curve.choice import RankChoice, RankEvidence, choose
from dylora.rank_curve.direction import higher_is_better
from dylora.rank_curve.intervals import Interval, bootstrap, intervals
from dylora.rank_curve.kept import KeptOutcomes, metric_outcomes


def choose_from(seeds: Sequence[KeptOutcomes], tolerance: float = 0.01, confidence: float = 0.95) -> RankChoice:
    """Choose a rank from the outcomes of one run, or of several training seeds.

    Args:
        seeds: The outcomes of each run.
        tolerance: How far, relative to the best rank, the chosen one may lie behind; 0.01 is 1 %.
        confidence: Between 0 and 1.

    Raises:
        InputError: If the runs do not fit each other, an argument is out of range, or a value is not finite.
    """
    result = bootstrap(metric_outcomes(seeds))
    return choose(result, tolerance, higher_is_better(seeds[0].metric), confidence)


def choice_if_any(kept: KeptOutcomes | None, tolerance: float) -> RankChoice | None:
    """The choice from one evaluation; None where the outcomes do not allow one (a single rank, values not finite)."""
    if kept is None or len(kept.ranks) < 2:
        return None
    with suppress(InputError):
        return choose_from([kept], tolerance)
    return None


def intervals_if_any(kept: KeptOutcomes | None, resamples: int = 500) -> dict[int, Interval] | None:
    """Each rank's interval from one evaluation; None where the outcomes allow none (one example), or not finite ones.

    Args:
        kept: The outcomes.
        resamples: How many; 500 do for a picture, and the choice of a rank takes more.
    """
    if kept is None:
        return None
    try:
        found = intervals(bootstrap(metric_outcomes([kept]), resamples))
    except InputError:
        return None
    ends = np.array([(each.low, each.high) for each in found.values()])
    return found if np.isfinite(ends).all() else None


def choice_record(choice: RankChoice, tolerance: float, examples: int, confidence: float = 0.95) -> dict[str, Any]:
    """A choice in plain types, as `rank_metrics.json` has it under `chosen`; ranks are strings, as JSON has them."""
    ranks = {
        str(rank): {
            "value": found.metric.value,
            "interval": [found.metric.low, found.metric.high],
            "difference": found.difference.value,
            "difference_interval": [found.difference.low, found.difference.high],
            "verdict": found.verdict,
        }
        for rank, found in choice.evidence.items()
    }
    return {
        "rank": choice.rank,
        "certain": choice.certain,
        "best_rank": choice.best_rank,
        "tolerance": tolerance,
        "confidence": confidence,
        "examples": examples,
        "statement": choice.statement,
        "ranks": ranks,
    }


def choice_of(record: Mapping[str, Any]) -> RankChoice:
    """The choice that a record made by `choice_record` holds."""
    evidence = {
        int(rank): RankEvidence(
            Interval(found["value"], *found["interval"]),
            Interval(found["difference"], *found["difference_interval"]),
            found["verdict"],
        )
        for rank, found in record["ranks"].items()
    }
    return RankChoice(record["rank"], record["certain"], record["best_rank"], evidence, record["statement"])


def choice_table(choice: RankChoice, metric: str) -> str:
    """A row a rank: the metric and its difference to the best rank, each with its interval, and the verdict."""
    lines = [f"{'rank':>6}  {metric:<26}{f'minus that of rank {choice.best_rank}':<28}verdict"]
    for rank, found in choice.evidence.items():
        difference = "the best" if rank == choice.best_rank else _signed(found.difference)
        lines.append(f"{rank:>6}  {found.metric!s:<26}{difference:<28}{found.verdict}")
    return "\n".join(lines)


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"
