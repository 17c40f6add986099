"""The commands, each in a line."""

import sys
from pathlib import Path

COMMANDS = {
    "fit": "Train one adapter at sampled ranks, evaluating every rank after each epoch.",
    "validate": "Evaluate any ranks of a trained adapter on the validation split.",
    "test": "Evaluate any ranks of a trained adapter on a labelled test split.",
    "predict": "Write what any ranks of a trained adapter predict.",
    "choose": "Choose the smallest rank that is as good as the best, with evidence.",
    "budget": "Share a budget of ranks out over the modules of a trained adapter.",
    "export": "Write any rank of a trained adapter as files of PEFT or transformers.",
    "convert": "Make a LoRA that PEFT trained work at every rank, without training.",
    "sweep": "Run an experiment of many systems, tasks and seeds from one file.",
    "report": "Make the paper's tables from runs, with the paper's figures beside them.",
    "score": "Score generated texts as a data set's official scripts do.",
}


def program() -> str:
    """The program as the user typed it: `python -m dylora`, or the script that an installation has."""
    return "dylora" if Path(sys.argv[0]).stem == "dylora" else "python -m dylora"


def typed(command: str) -> str:
    """A command as the user typed it."""
    return f"{program()} {command}"


def overview() -> str:
    """What `python -m dylora --help` says."""
    lines = [f"usage: {program()} COMMAND [options]", "", "One low-rank adapter that works at every rank.", ""]
    lines += [f"  {name:10}{text}" for name, text in COMMANDS.items()]
    lines += [
        "",
        f"{program()} COMMAND --help documents every option; behind --config, --model or --data, those of",
    ]
    return "\n".join([*lines, f"what was chosen: {program()} fit --config nlg/e2e --help."])
