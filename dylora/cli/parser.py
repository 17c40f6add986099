"""The parser of the commands that train or evaluate."""

from argparse import SUPPRESS, Action
from typing import Any, NoReturn

import yaml  # type: ignore[import-untyped]
from jsonargparse import Namespace, get_loader, set_loader
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from dylora.cli.class_messages import readable_of_classes
from dylora.cli.classes import class_at, load_named
from dylora.cli.help_text import HelpFormatter, help_of_parser
from dylora.cli.links import shared_options, without_shared
from dylora.cli.old_configs import renewed
from dylora.cli.plain_parser import fail
from dylora.runs.yaml_text import check_yaml

_read = get_loader("yaml")


class Parser(LightningArgumentParser):
    """Lightning's parser, with errors of one line and without abbreviations, which would hide a mistyped name.

    Its help lists the options of the chosen model and data, too.

    Attributes:
        is_brief: Whether a configuration is written without what a person leaves as it is: the trainer's defaults, and
            the command's own options that are null.
    """

    is_brief = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (Lightning's)
        super().__init__(
            *args, **{"allow_abbrev": False, "add_help": False, "formatter_class": HelpFormatter, **kwargs}
        )
        text = "Show this, with the options of the classes that are chosen before it, and exit."
        self.add_argument("-h", "--help", action=_Help, help=text)
        self.add_argument("--help_all", action=_Help, help="Show all of the trainer's options, too, and exit.")

    @override
    def parse_string(self, content: str, *args: Any, **kwargs: Any) -> Namespace:
        """Read a configuration, one of an earlier version too."""
        content = renewed(content)
        load_named(content)
        config: Namespace = super().parse_string(content, *args, **kwargs)
        return config

    @override
    def dump(self, cfg: Namespace, *args: Any, **kwargs: Any) -> str:
        """Write a configuration, without what it takes from another place."""
        shown = without_shared(cfg)
        if self.is_brief:
            _drop_defaults(shown, self.get_defaults())
        text: str = super().dump(shown, *args, **{**kwargs, "skip_link_targets": False})
        return text

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line on stderr and exit with status 2; the parser of a class tells the one that it is part of."""
        if not self.exit_on_error:
            super().error(message, ex)
        fail(readable_of_classes(message, self))


def _drop_defaults(config: Namespace, defaults: Namespace) -> None:
    """Drop what a person leaves as it is, in place."""
    for name, value in vars(config.trainer.clone()).items():
        if value == defaults.trainer[name]:
            del config.trainer[name]
    for name in [name for name, value in vars(config).items() if value is None and name != "data"]:
        del config[name]
    if not vars(config.trainer):
        del config["trainer"]


def _read_within_limits(text: str) -> Any:  # noqa: ANN401
    """Read a value, or a file that a value names."""
    check_yaml(text, "the options")
    return _read(text)


set_loader("yaml", _read_within_limits, (yaml.YAMLError,))  # for files that configurations name, too


class _Help(Action):
    """Print the options, those of the classes that were chosen so far too, and exit."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 (argparse's)
        super().__init__(**{**kwargs, "nargs": 0, "default": SUPPRESS})

    @override
    def __call__(self, parser: Any, namespace: Any, values: object, option_string: str | None = None) -> None:
        """Print and exit."""
        chosen = {group: namespace.get(f"{group}.class_path") for group in ("model", "data")}
        chosen["model.method"] = namespace.get("model.init_args.method.class_path")
        given_elsewhere = shared_options(namespace)
        classes = [
            (class_at(path).__name__, _options_of(class_at(path), group, given_elsewhere.get(group, set())))
            for group, path in chosen.items()
            if path
        ]
        print(help_of_parser(parser, classes, is_whole=option_string == "--help_all"), end="")
        parser.exit()


def _options_of(chosen: type, group: str, others: set[str]) -> LightningArgumentParser:
    """A parser of a class's options, such as `--model.backbone`, but for those that are given in other places."""
    parser = LightningArgumentParser(add_help=False)
    parser.add_class_arguments(chosen, group, fail_untyped=False, skip=set(others))
    return parser
