"""Prompts and what a model should answer, from tables of a user's own: columns in a template, or chat messages."""

import json
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dylora.data.sources.json_text import load_json
from dylora.data.sources.table import Table
from dylora.errors import InputError

Message = dict[str, Any]
Render = Callable[[Sequence[Message], str], str]
_SHAPE = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        where: File and line, for messages.
        prompt: What the model is shown, as text.
        completion: What it should write; none where the row does not say.
        messages: The whole conversation, the answer included; empty where the row is not one.
        rank: The rank that it is to be predicted at; None for every asked one.
    """

    where: str
    prompt: str
    completion: str | None
    messages: tuple[Message, ...] = ()
    rank: int | None = None


class Reader(Protocol):
    """Makes examples of a table's rows."""

    def read(self, table: Table, with_completion: bool) -> list[Example]:
        """One example a row.

        Args:
            table: The table.
            with_completion: Whether every row must say what to write; else a row may leave it out.

        Raises:
            InputError: If a column is missing or a row has another shape.
        """

    def key(self) -> str:
        """What decides how rows are read."""

    def names(self) -> tuple[str, ...]:
        """The columns that it reads."""


class TemplateReader:
    """Fills two templates with the columns of a row.

    Args:
        prompt: Text with column names in braces, such as `Summarise: {text}`; `{{` and `}}` are braces themselves.
        completion: The same for what the model should write.

    Raises:
        InputError: If a template names no column, or has anything but a name in its braces.
    """

    def __init__(self, prompt: str, completion: str) -> None:
        self._prompt, self._completion = prompt, completion
        self._prompt_columns = template_columns(prompt, "data.prompt")
        self._completion_columns = template_columns(completion, "data.completion")

    def names(self) -> tuple[str, ...]:
        """Those of both templates."""
        return (*self._prompt_columns, *self._completion_columns)

    def key(self) -> str:
        """Both templates."""
        return json.dumps([self._prompt, self._completion])

    def read(self, table: Table, with_completion: bool) -> list[Example]:
        """As for every reader; a table for prediction may lack the columns of the completion."""
        prompts = _columns(table, self._prompt_columns, "data.prompt")
        completions: list[dict[str, Any]] | None = None
        if with_completion or set(self._completion_columns) <= set(table.names):
            completions = _columns(table, self._completion_columns, "data.completion")
        found = []
        for row, values in enumerate(prompts):
            prompt = _filled(self._prompt, values, table.place(row))
            asked = completions is not None and (with_completion or all(completions[row].values()))
            answer = _filled(self._completion, completions[row], table.place(row)) if completions and asked else None
            found.append(Example(table.place(row), prompt, answer))
        return found


def _columns(table: Table, names: Sequence[str], option: str) -> list[dict[str, Any]]:
    """The values of some columns, row by row."""
    columns = [table.column(name, option) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


class MessagesReader:
    """Reads conversations: lists of objects with `role` and `content`, or such a list as JSON in a text.

    Args:
        column: The column that holds them.
        render: Writes messages as the prompt that the model is shown, given them and where they stand.
    """

    def __init__(self, column: str, render: Render) -> None:
        self._column = column
        self._render = render

    def names(self) -> tuple[str, ...]:
        """The column."""
        return (self._column,)

    def key(self) -> str:
        """The column."""
        return json.dumps([self._column])

    def read(self, table: Table, with_completion: bool) -> list[Example]:
        """As for every reader; the completion is the last message, if it is the assistant's."""
        values = table.column(self._column, "data.messages")
        return [self._example(value, table.place(row), with_completion) for row, value in enumerate(values)]

    def _example(self, value: Any, where: str, must: bool) -> Example:  # noqa: ANN401
        messages = parse_messages(value, where)
        answered = messages[-1]["role"] == "assistant"
        if must and not answered:
            given = f"a last one of the role {messages[-1]['role']!r}"
            raise InputError(where, "messages that end with the assistant's", given, "add the answer")
        shown = messages[:-1] if answered else messages
        if not shown:
            raise InputError(where, "messages with something to answer", "one answer alone", "add what was asked")
        return Example(where, self._render(shown, where), messages[-1]["content"] if answered else None, messages)


def template_columns(template: str, option: str) -> tuple[str, ...]:
    """The columns that a template names, in their order.

    Args:
        template: The template.
        option: The option that it comes from.

    Raises:
        InputError: If it names none, or has anything but a name in its braces.

    >>> template_columns("Q: {question} {{as {style}}}", "data.prompt")
    ('question', 'style')
    """
    try:
        fields = [(name, spec, how) for _, name, spec, how in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise InputError(
            option, "text with {column} in it", repr(template), f"({error}) write {{{{ for a brace"
        ) from None
    if not fields or any(not name or spec or how for name, spec, how in fields):
        fix = "put the name of a column, and nothing else, in braces"
        raise InputError(option, "text with {column} in it, such as {prompt}", repr(template), fix)
    return tuple(dict.fromkeys(name for name, _, _ in fields))


def _filled(template: str, values: dict[str, Any], where: str) -> str:
    """The template with a row's values; names are looked up as they are, without attributes or indices."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
            given = f"{json.dumps(value, default=str)[:60]} in the column {name!r}"
            raise InputError(where, "a row with text or a number", given, "fill it in or take the row out")
    parts = string.Formatter().parse(template)
    return "".join(text + ("" if name is None else str(values[name])) for text, name, _, _ in parts)


def parse_messages(value: Any, where: str) -> tuple[Message, ...]:  # noqa: ANN401
    """The messages of one row.

    Args:
        value: A list of objects with `role` and `content`, or JSON of one.
        where: File and line, for the message.

    Raises:
        InputError: If it is of another shape.
    """
    given = value
    if isinstance(value, str):
        try:
            value = load_json(value)
        except json.JSONDecodeError:
            value = None
    fits = isinstance(value, list) and value and all(_is_message(message) for message in value)
    if not fits:
        shown = given if isinstance(given, str) else json.dumps(given, default=str)
        raise InputError(where, f"messages of the shape {_SHAPE}", shown[:80], "write each message like this")
    return tuple({name: item for name, item in message.items() if item is not None} for message in value)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("role", "content"))
