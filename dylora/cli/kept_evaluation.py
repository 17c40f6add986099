"""What `validate --output` keeps: the figures, and each example's outcome, from which `choose` tells the rank."""

from pathlib import Path

from dylora.adapters.cuts import Cut
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.rank_curve.evidence import choice_if_any, choice_record
from dylora.runs.folders import write_json
from dylora.runs.outcomes_file import OUTCOMES_FILE, write_outcomes

FIGURES_FILE = "validation.json"


def check_output(folder: Path) -> None:
    """Refuse a folder that holds an evaluation, or anything that is no folder, before any work.

    Raises:
        InputError: If it does.
    """
    held = [name for name in (FIGURES_FILE, OUTCOMES_FILE) if (folder / name).exists()]
    if held or (folder.exists() and not folder.is_dir()):
        given = f"{str(folder)!r}, which {f'has {held[0]}' if held else 'is a file'}"
        raise InputError("--output", "a folder without an evaluation", given, "choose another name")


def keep_evaluation(output: Path, evaluated: str, kind: Cut | None, module: EveryRankModule) -> str:
    """Write the last validation into a folder, and say so.

    Args:
        output: The folder; it is made if it is not there.
        evaluated: The checkpoint or the folder of dylora that was evaluated.
        kind: The cut that it was evaluated under.
        module: With the results.
    """
    about = {"evaluated": evaluated, "cut": kind, "task": module.identity["task"], "metric": module.monitor}
    choice, kept = choice_if_any(module.outcomes, module.tolerance), module.outcomes
    chosen = {"chosen": choice_record(choice, module.tolerance, kept.examples)} if choice and kept else {}
    write_json(output / FIGURES_FILE, {**about, **chosen, **module.record()})
    if kept is None:
        return f"Written: {output} (without outcomes, which {module.monitor} has none of: choose cannot take it)"
    write_outcomes(output / OUTCOMES_FILE, kept, step=0)
    return f"Written: {output}; python -m dylora choose {output} tells the rank"
