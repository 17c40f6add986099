"""Which run `validate`, `test` and `predict` are about, when the command line does not say all of it."""

from collections.abc import Sequence
from pathlib import Path

from dylora.errors import InputError
from dylora.runs.folders import ADAPTER_FILE, CHECKPOINTS, CONFIG, ROOT, checkpoint_of, newest_run

EVALUATIONS = ("validate", "test", "predict")
_NEEDS_NO_RUN = {"-h", "--help", "--help_all", "--print_config"}


def completed(arguments: Sequence[str]) -> tuple[list[str], str]:
    """Fill in `--config` and `--ckpt_path` of an evaluation command, or the model of a folder of dylora.

    With neither, the newest run under `logs/` is taken; with one of them, the other comes from the same run's folder.
    Later arguments still override what the run's configuration says.

    Returns:
        The arguments, and which run and checkpoint were found; empty where the checkpoint was given.

    Raises:
        InputError: If there is no run, or the run has no checkpoint.
    """
    if not arguments or arguments[0] not in EVALUATIONS or any(a.split("=")[0] in _NEEDS_NO_RUN for a in arguments):
        return list(arguments), ""
    note = ""
    command, rest = arguments[0], list(arguments[1:])
    config = _value(rest, "--config") or _value(rest, "-c")
    checkpoint = _value(rest, "--ckpt_path")
    if checkpoint is not None:
        is_folder = (Path(checkpoint) / ADAPTER_FILE).is_file()
        if Path(checkpoint).is_dir() and not is_folder:
            checkpoint = _checkpoint_in(Path(checkpoint))
        rest += ["--ckpt_path", checkpoint]  # last, since a file behind the option would set it to null
        if is_folder:
            from dylora.cli.evaluated_folder import with_model_of

            return [command, *with_model_of(Path(checkpoint), rest)], note
    else:
        run = Path(config).parent if config else newest_run(Path(_value(rest, "--trainer.default_root_dir") or ROOT))
        if config and not (run / CHECKPOINTS).is_dir():
            fix = "give --ckpt_path too, or a run's own config.yaml"
            raise InputError("--ckpt_path", f"given with --config {config}", "none", fix)
        checkpoint = str(checkpoint_of(run))
        rest += ["--ckpt_path", checkpoint]
        note = f"Run {run}, checkpoint {Path(checkpoint).name}"
    if config is None:
        own = Path(checkpoint).parent.parent / CONFIG
        if not own.is_file():
            fix = "give --config FILE of the run that it comes from"
            raise InputError("--config", f"given for a checkpoint without {own}", "none", fix)
        rest = ["--config", str(own), *rest]
    return [command, *rest], note


def _checkpoint_in(folder: Path) -> str:
    """The checkpoint of a folder, which must be that of a run."""
    if (folder / CHECKPOINTS).is_dir():
        return str(checkpoint_of(folder))
    holds = ", ".join(sorted(each.name for each in folder.iterdir())[:8]) or "nothing"
    fix = "check the path"
    if (folder / "adapter_config.json").is_file():
        fix = f"make a folder of dylora of this one of PEFT: python -m dylora convert {folder} --output DIR"
    allowed = "a checkpoint, the folder of a run or a folder of dylora"
    raise InputError("--ckpt_path", allowed, f"{str(folder)!r}, which holds {holds}", fix)


def option_values(arguments: Sequence[str], option: str) -> list[str]:
    """The values of an option in their order, each written `--option value` or `--option=value`.

    >>> option_values(["fit", "--config", "a.yaml", "--config=b.yaml"], "--config")
    ['a.yaml', 'b.yaml']
    """
    found = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if argument == option:
            found.append(following)
        elif argument.startswith(f"{option}="):
            found.append(argument.partition("=")[2])
    return found


def _value(arguments: Sequence[str], option: str) -> str | None:
    return next(reversed(option_values(arguments, option)), None)
