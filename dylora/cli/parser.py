"""The parser of the commands that train or evaluate."""

from argparse import SUPPRESS, Action, ArgumentParser
from typing import Any, NoReturn

import yaml  # type: ignore[import-untyped]
from jsonargparse import Namespace, get_loader, set_loader
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from dylora.cli.class_messages import readable_of_classes
from dylora.cli.classes import class_at, load_named
from dylora.cli.links import shared_options, without_shared
from dylora.cli.old_configs import renewed
from dylora.cli.plain_parser import fail
from dylora.runs.yaml_text import check_yaml

_read = get_loader("yaml")


class Parser(LightningArgumentParser):
    """Lightning's parser, with errors of one line and without abbreviations, which would hide a mistyped name.

    Its help lists the options of the chosen model and data, too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (Lightning's)
        super().__init__(*args, **{"allow_abbrev": False, "add_help": False, **kwargs})
        self.add_argument("-h", "--help", action=_Help, help="Show all options, those of the chosen classes too.")

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
        text: str = super().dump(without_shared(cfg), *args, **{**kwargs, "skip_link_targets": False})
        return text

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line on stderr and exit with status 2; the parser of a class tells the one that it is part of."""
        if not self.exit_on_error:
            super().error(message, ex)
        fail(readable_of_classes(message, self))


def _read_within_limits(text: str) -> Any:  # noqa: ANN401
    """Read a value, or a file that a value names."""
    check_yaml(text, "the options")
    return _read(text)


set_loader("yaml", _read_within_limits, (yaml.YAMLError,))  # for files that configurations name, too


class _Help(Action):
    """Print the options, those of the classes that were chosen so far in full, and exit."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 (argparse's)
        super().__init__(**{**kwargs, "nargs": 0, "default": SUPPRESS})

    @override
    def __call__(
        self, parser: ArgumentParser, namespace: Any, values: object, option_string: str | None = None
    ) -> None:
        """Print and exit."""
        print(parser.format_help())
        for group, others in shared_options(namespace).items():
            if path := namespace.get(f"{group}.class_path"):
                print(_options_of(class_at(path), group, others))
        if path := namespace.get("model.init_args.method.class_path"):
            print(_options_of(class_at(path), "model.method", set()))
        parser.exit()


def _options_of(chosen: type, group: str, others: set[str]) -> str:
    """The help of a class's options, such as `--model.backbone`, but for those that are given in other places."""
    parser = LightningArgumentParser(usage=SUPPRESS, description="", add_help=False)
    parser.add_class_arguments(chosen, group, fail_untyped=False, skip=set(others))
    return f"Options of {chosen.__name__}\n\n{parser.format_help().strip()}\n"
