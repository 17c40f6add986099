"""Templates on the command line, which YAML would take for something else: `Question: {q}` is a mapping to it."""

import json
from collections.abc import Sequence

OPTIONS = ("--data.prompt", "--data.completion")


def quoted_templates(arguments: Sequence[str]) -> list[str]:
    """Arguments whose templates are quoted, so that they are read as the text that they are.

    Args:
        arguments: A command's arguments, each option written `--option value` or `--option=value`.

    >>> quoted_templates(["fit", "--data.prompt", "Q: {q}", "--data.completion={a}"])
    ['fit', '--data.prompt', '"Q: {q}"', '--data.completion="{a}"']
    """
    found: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if equals and option in OPTIONS:
            found.append(f"{option}={_quoted(value)}")
        else:
            found.append(_quoted(argument) if found and found[-1] in OPTIONS else argument)
    return found


def _quoted(value: str) -> str:
    """JSON of a template, which YAML reads as well; what is quoted already stays."""
    is_template = "{" in value and not (value.startswith('"') and value.endswith('"'))
    return json.dumps(value, ensure_ascii=False) if is_template else value
