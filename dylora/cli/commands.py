"""The commands, each in a line."""

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


def overview() -> str:
    """What `python -m dylora --help` says."""
    lines = ["usage: python -m dylora COMMAND [options]", "", "One low-rank adapter that works at every rank.", ""]
    lines += [f"  {name:10}{text}" for name, text in COMMANDS.items()]
    lines += [
        "",
        "python -m dylora COMMAND --help documents every option; behind --config, --model or --data, those of",
    ]
    return "\n".join([*lines, "what was chosen: python -m dylora fit --config nlg/e2e --help."])
