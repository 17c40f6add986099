"""The trainer's options: what Lightning takes without a word, or refuses late or in its own words."""

import inspect
import math
import os
import re
from collections.abc import Callable
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from dylora.errors import InputError

MOST_PROCESSES_A_CORE = 8

_AT_LEAST_ONE = ("accumulate_grad_batches", "check_val_every_n_epoch", "log_every_n_steps", "num_nodes")
_NOT_NOTHING = ("max_epochs", "max_steps", "limit_train_batches", "val_check_interval")
_OPTIONS = sorted(inspect.signature(Trainer).parameters, key=len, reverse=True)
_NAMED = re.compile(rf"`(?:Trainer\()?({'|'.join(_OPTIONS)})\b|\b({'|'.join(_OPTIONS)})(?==)|value \S+ for (\w+),")
"""How Lightning's messages name an option: `devices`, `Trainer(devices=…)`, devices=…."""


def check_trainer(options: Any, command: str) -> None:  # noqa: ANN401 (jsonargparse's namespace)
    """Refuse values of the trainer's options that no training can have.

    Args:
        options: The trainer's parsed options.
        command: `fit`, or a command that evaluates.

    Raises:
        InputError: Naming the option.
    """
    if not options.default_root_dir:
        given = "null" if options.default_root_dir is None else "an empty name"
        raise InputError("--trainer.default_root_dir", "a folder", given, "leave it out for logs")
    for name in _AT_LEAST_ONE:
        if (value := options[name]) is not None and value < 1 and not (name == "log_every_n_steps" and value == 0):
            raise InputError(f"--trainer.{name}", "at least 1", value, "give a larger number")
    clip = options.gradient_clip_val
    if clip is not None and not 0 <= clip < math.inf:
        raise InputError("--trainer.gradient_clip_val", "0 or more, and finite", clip, "leave it out for no clipping")
    _check_devices(options)
    if command == "fit":
        for name in _NOT_NOTHING:
            if options[name] == 0:
                fix = "give a larger number; --trainer.fast_dev_run true tries one batch"
                raise InputError(f"--trainer.{name}", "above 0 for a training", 0, fix)


def check_strategy(strategy: object) -> None:
    """Refuse strategies of Lightning that spread adapters over processes: their checkpoints would hold parts of them.

    Args:
        strategy: The trainer's option: a name, or the strategy itself.

    Raises:
        InputError: If it is one of them.
    """
    name = strategy.rpartition(".")[2] if isinstance(strategy, str) else type(strategy).__name__
    if name.startswith("fsdp") or name in ("FSDPStrategy", "ModelParallelStrategy"):
        allowed = "one under which all of an adapter is in each process"
        fix = "take ddp, or --config configs/trainer/fsdp.yaml, which spreads the frozen backbone alone"
        raise InputError("--trainer.strategy", allowed, name, fix)


def trainer_error(error: Exception, options: Any) -> InputError | None:  # noqa: ANN401 (jsonargparse's namespace)
    """What Lightning raised about one of the trainer's options, in this project's form; None for anything else.

    Args:
        error: What was raised.
        options: The trainer's parsed options, or none where they are not known.
    """
    text = " ".join(str(error).split())
    found = _NAMED.search(text)
    if found is None and not isinstance(error, MisconfigurationException):
        return None
    name = found[found.lastindex or 0] if found else "accelerator" if "backend" in text else None
    value = options.get(name, "another value") if options and name else "another value"
    return InputError(f"--trainer.{name}" if name else "--trainer", "what Lightning accepts", value, text)


def made_trainer(make: Callable[[], Trainer], options: Any) -> Trainer:  # noqa: ANN401 (jsonargparse's namespace)
    """A new trainer.

    Args:
        make: Makes it.
        options: The trainer's parsed options.

    Raises:
        InputError: If Lightning refuses one of the options, or lacks what it needs for one.
    """
    try:
        return make()
    except InputError:
        raise
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise trainer_error(error, options) or error from error
    except (ImportError, RuntimeError) as error:
        fix = "choose another one, or install what it needs"
        given = f"accelerator {options.accelerator} with strategy {options.strategy} ({error})"
        raise InputError("--trainer.accelerator", "one that is installed here", given, fix) from error


def _check_devices(options: Any) -> None:  # noqa: ANN401
    """Refuse to start processes by the hundred: on a CPU each device is one."""
    count, most = options.devices, MOST_PROCESSES_A_CORE * (os.cpu_count() or 1)
    on_cpu = options.accelerator == "cpu"
    if on_cpu and str(count).isascii() and str(count).isdecimal() and len(str(count)) < 10 and int(count) > most:
        raise InputError("--trainer.devices", f"at most {most} processes on this machine's CPU", count, "give fewer")
