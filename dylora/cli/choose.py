"""`python -m dylora choose`: the rank of a run, chosen with evidence; loaded without the training libraries."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser
from dylora.errors import InputError
from dylora.rank_curve.evidence import choice_table, choose_from
from dylora.rank_curve.kept import KeptOutcomes, kept_metrics
from dylora.runs.folders import ADAPTER_FILE, ROOT, newest_run
from dylora.runs.outcomes_file import OUTCOMES_FILE, read_outcomes
from dylora.runs.record import METRICS_FILE


def build_parser() -> PlainParser:
    """The command's options."""
    text = "Choose the smallest rank that is as good as the best one, as far as the validation examples can tell."
    parser = PlainParser(prog=typed("choose"), description=text)
    add = parser.add_argument
    text = f"Folders of runs; the newest under {ROOT}/ by default. Several are training seeds of one configuration."
    add("runs", type=str, nargs="*", metavar="RUN", help=text)
    text = "How far the rank may lie behind every other, relative to the other's value; 0.01 is 1 %%."
    add("--tolerance", type=float, default=0.01, help=text)
    add("--confidence", type=float, default=0.95, help="With which the rank is within the tolerance; 0 to 1.")
    return parser


def choose_rank(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command.

    Raises:
        InputError: If a run has no outcomes, or several do not fit each other.
    """
    options = build_parser().parse_args(list(arguments))
    runs = [_run_folder(Path(name)) for name in options.runs] or [_newest()]
    seeds = [_outcomes(run) for run in runs]
    choice = choose_from(seeds, options.tolerance, options.confidence)
    print(f"{', '.join(map(str, runs))}: {seeds[0].examples} validation examples")
    print(choice_table(choice, seeds[0].metric))
    level = f"{options.confidence:.3g}"
    print(f"Intervals: {level}; of the differences, all hold at once. {_inferred(len(runs))}")
    print(choice.statement)


def _inferred(seeds: int) -> str:
    if seeds == 1:
        return "They speak of this adapter on other examples."
    return f"They speak of the mean over all seeds, of which these are {seeds}."


def _newest() -> Path:
    try:
        return newest_run(Path(ROOT))
    except InputError as error:
        _, _, given, _ = error.args
        raise InputError("RUN", "given where there is no single run", given, "name the folder of a run") from None


def _run_folder(path: Path) -> Path:
    """The folder of a run, of which a file may be named."""
    run = path if path.is_dir() else path.parent
    if not path.exists():
        raise InputError("RUN", "the folder of a run", f"{str(path)!r}, which does not exist", "check the path")
    if (run / ADAPTER_FILE).is_file() and not (run / OUTCOMES_FILE).is_file():
        given = f"{str(run)!r}, a folder of dylora, which has none"
        fix = f"python -m dylora validate --ckpt_path {run} --data CLASS … --output DIR, then choose DIR"
        raise InputError("RUN", "a folder with each example's outcomes", given, fix)
    return run


def _outcomes(run: Path) -> KeptOutcomes:
    """The outcomes of a run's best checkpoint."""
    _check_metric(run)
    record = read_outcomes(run / OUTCOMES_FILE)
    best = _metrics(run).get("best", {}).get("step", record.step)
    if best != record.step:
        given = f"{str(run)!r}, whose outcomes are of step {record.step} and whose best checkpoint is of step {best}"
        raise InputError("RUN", "a run with outcomes of its best checkpoint", given, "train it anew")
    return record.kept


def _check_metric(run: Path) -> None:
    """Say what has outcomes, where the run went by a metric that has none."""
    metric = _metrics(run).get("metric")
    if metric is not None and metric not in kept_metrics() and not (run / OUTCOMES_FILE).exists():
        allowed = f"a run that went by a metric with outcomes ({', '.join(kept_metrics())})"
        raise InputError("RUN", allowed, f"{str(run)!r}, which went by {metric}", "train with another --model.monitor")


def _metrics(run: Path) -> dict[str, Any]:
    try:
        content = json.loads((run / METRICS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
