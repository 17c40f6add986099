"""The help of a command: its own options first, in plain words, the trainer's behind them or on request."""

import re
import shutil
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
from typing_extensions import override

_WIDEST = 120
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_DEFAULT = re.compile(r" ?Default: `[^`]*`\.| ?Default: [\w.]+\.(?= |$)")
_FILES = "Path to a configuration file."  # a file for a group of options; --config takes one for all of them
_OURS = {
    "config": "Configuration file (YAML or JSON), or the name of one of dylora's, such as demo; may be repeated.",
    "print_config": "Print what all options come to, as a configuration file, and exit: dylora's keys, and those of "
    "the trainer that are not its defaults; =all prints every key.",
    "seed_everything": "Seed of all random numbers, a whole number from 0; true draws one.",
}
"""What is said of options that libraries document."""
_OFTEN = ("accelerator", "devices", "precision", "limit_val_batches", "enable_progress_bar", "default_root_dir")
_OFTEN_IN_TRAINING = (
    *("max_epochs", "max_steps", "max_time", "logger", "callbacks", "limit_train_batches", "fast_dev_run"),
    *("accumulate_grad_batches", "gradient_clip_val"),
)


class HelpFormatter(DefaultHelpFormatter):
    """Options with what they take, one sentence, and the default in brackets.

    Attributes:
        ours: What to say of options that libraries document, by their names.
    """

    ours: Mapping[str, str] = MappingProxyType({})

    def __init__(self, prog: str, *_: Any, **__: Any) -> None:  # noqa: ANN401 (argparse's)
        width = min(_WIDEST, shutil.get_terminal_size((100, 24)).columns) - 2
        super().__init__(prog, max_help_position=min(40, width // 3), width=width)  # type: ignore[no-untyped-call]

    @override
    def _format_usage(self, usage: str | None, actions: Iterable[Action], *_: Any, **__: Any) -> str:
        needed = [each for each in actions if each.required and each.help != SUPPRESS]
        words = [self._format_action_invocation(each) for each in needed]
        return f"usage: {usage or ' '.join([self._prog, '[options]', *words])}\n\n"

    @override
    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return str(action.metavar or action.dest)
        names = ", ".join(name for name in action.option_strings if not name.endswith("+"))
        taken = "[=all]" if self.ours and _name(action) == "print_config" else _taken(action)
        return f"{names} {taken}" if taken else names

    @override
    def _get_help_string(self, action: Action) -> str:
        text = plain_text(self.ours.get(_name(action)) or (action.help or "").replace("%%", "%"))
        default = action.default
        if default in (None, SUPPRESS) or isinstance(default, list) or action.nargs == 0:
            return text
        if isinstance(default, Namespace | dict):
            default = default["class_path"].rpartition(".")[2]
        shown = str(default).lower() if isinstance(default, bool) else default
        return f"{_DEFAULT.sub('', text)} [{shown}]".strip()


class _CommandHelpFormatter(HelpFormatter):
    ours = _OURS


def plain_text(text: str) -> str:
    """A text without the mark-up of reST, names in single backticks.

    >>> plain_text("Default: ``1``; see :class:`datetime.timedelta` and :paramref:`~a.b.Trainer.callbacks`")
    'Default: `1`; see `timedelta` and `callbacks`'
    """
    return " ".join(_ROLE.sub(r"`\1`", text).replace("``", "`").split())


def help_of_parser(parser: ArgumentParser, classes: Sequence[tuple[str, ArgumentParser]], is_whole: bool) -> str:
    """The help of a command that trains or evaluates.

    Args:
        parser: Its parser.
        classes: Name of each chosen class, such as that of the model, and a parser of its options.
        is_whole: Whether to list all options of the trainer, rather than those that are used most.
    """
    formatter = _CommandHelpFormatter(parser.prog)
    formatter.add_usage(parser.usage, (), ())
    formatter.add_text(f"{parser.description}\nBehind an option stands what it takes; [its default] ends its text.")
    groups = [(str(group.title), list(group._group_actions)) for group in parser._action_groups]
    trainer = [each for _, actions in groups for each in actions if each.dest.startswith("trainer.")]
    _add(formatter, "Options", groups[1][1])
    for name, chosen in classes:
        for group in chosen._action_groups:
            _add(formatter, str(group.title), list(group._group_actions), f"{name}: ")
    trains = parser.prog.endswith(" fit")
    for title, actions in groups[2:]:
        if title != "Linked arguments" and (trains or is_whole):
            _add(formatter, title, [each for each in actions if each not in trainer])
    often = {f"trainer.{name}" for name in (*_OFTEN, *(_OFTEN_IN_TRAINING if trains else ()))}
    title = "Lightning's trainer" if is_whole else "Lightning's trainer (what is used most; --help_all lists all)"
    _add(formatter, title, [each for each in trainer if is_whole or each.dest in often])
    return formatter.format_help()


def _add(formatter: HelpFormatter, title: str, actions: Sequence[Action], owner: str = "") -> None:
    """Add a section, without options that only name a file for a group, or ask for the help of a class."""
    is_of_class = re.compile(r"--[\w.]+\.help")
    shown = [
        each
        for each in actions
        if each.help != _FILES and not any(is_of_class.fullmatch(name) for name in each.option_strings)
    ]
    if shown:
        is_nested = min(each.dest.count(".") for each in shown) > 1
        formatter.start_section(title if is_nested else f"{owner}{title}")
        formatter.add_arguments(shown)
        formatter.end_section()


def _taken(action: Action) -> str:
    """What an option takes, in a word."""
    if action.nargs == 0:
        return ""
    if _name(action) == "config":
        return "FILE"
    if action.metavar:
        return str(action.metavar).strip("\b")
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    kind = str(getattr(action, "_typehint", action.type))
    if choices := re.findall(r"Literal\[([^\]]*)\]", kind):
        return "{" + choices[0].replace("'", "").replace(" ", "") + "}" if len(choices) == 1 else "VALUE"
    words = {"bool": "true|false", "int": "INT", "float": "FLOAT", "str": "TEXT", "Path": "PATH"}
    found = [words[name] for name in words if re.search(rf"\b{name}\b", kind)]
    return "|".join(found[:2]) or "CLASS"


def _name(action: Action) -> str:
    return (action.option_strings or [action.dest])[-1].removeprefix("--")
