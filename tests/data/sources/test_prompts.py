"""Templates over columns and conversations, read from tables; faults are told with file and line."""

import json

import pytest

from dylora.data.sources.prompts import Example, MessagesReader, TemplateReader, parse_messages, template_columns
from dylora.data.sources.table import Table
from dylora.errors import InputError


def table(names, *rows):
    return Table("own.csv", tuple(names), rows, "line", range(2, 2 + len(rows)))


def test_templates_are_filled_with_the_columns():
    reader = TemplateReader("Q ({lang}): {q}", "{a}")
    rows = table("q lang a".split(), ("two?", "en", "2"), ("deux?", "fr", 2))
    assert reader.read(rows, with_completion=True) == [
        Example("own.csv, line 2", "Q (en): two?", "2"),
        Example("own.csv, line 3", "Q (fr): deux?", "2"),
    ]


def test_values_with_braces_stay_as_they_are():
    reader = TemplateReader("{{x}} {prompt.x[0]}", "{completion}")
    (example,) = reader.read(table(["prompt.x[0]", "completion"], ("{completion}", "{0}")), with_completion=True)
    assert (example.prompt, example.completion) == ("{x} {completion}", "{0}")


@pytest.mark.parametrize("template", ["prompt", "", "{}", "{0:>3}{a!r}", "{prompt!r}", "{prompt:>3}", "{prompt", "}"])
def test_other_templates_are_refused(template):
    with pytest.raises(InputError, match=r"data.prompt: must be text with {column} in it"):
        template_columns(template, "data.prompt")


@pytest.mark.parametrize(("option", "templates"), [("prompt", ("{text}", "{a}")), ("completion", ("{q}", "{b}"))])
def test_an_unknown_column_lists_those_that_exist(option, templates):
    with pytest.raises(InputError, match=rf"data.{option}: must be a column of own.csv \(q, a\), got "):
        TemplateReader(*templates).read(table("qa", ("x", "y")), with_completion=True)


@pytest.mark.parametrize("value", [None, "", "  ", ["x"], True])
def test_a_row_without_text_is_told_with_its_line(value):
    for row in ((value, "y"), ("x", value)):
        with pytest.raises(InputError, match=r"own.csv, line 3: must be a row with text or a number, got "):
            TemplateReader("{q}", "{a}").read(table("qa", ("x", "y"), row), with_completion=True)


def test_a_table_for_prediction_may_lack_completions():
    reader = TemplateReader("{q}", "{a}")
    assert [one.completion for one in reader.read(table("q", ("x",)), with_completion=False)] == [None]
    rows = table("qa", ("x", "y"), ("z", ""))
    assert [one.completion for one in reader.read(rows, with_completion=False)] == ["y", None]


ASKED, ANSWERED = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}


def read_messages(value, with_completion=True):
    reader = MessagesReader("chat", lambda messages, where: " ".join(message["content"] for message in messages))
    return reader.read(table(["chat"], (value,)), with_completion)


def test_a_conversation_ends_with_what_is_to_be_written():
    (example,) = read_messages([ASKED, ANSWERED])
    assert example == Example("own.csv, line 2", "x", "y", (ASKED, ANSWERED))
    assert read_messages(json.dumps([ASKED, ANSWERED])) == [example]


def test_keys_without_a_value_are_left_out():
    """As Parquet has them."""
    assert parse_messages([{**ASKED, "name": None}], "line 1") == (ASKED,)


def test_a_conversation_for_prediction_may_end_with_the_user():
    (example,) = read_messages([ASKED], with_completion=False)
    assert (example.prompt, example.completion) == ("x", None)
    with pytest.raises(InputError, match=r"line 2: must be messages that end with the assistant's, got .* role 'user'"):
        read_messages([ASKED])


def test_an_answer_alone_is_refused():
    with pytest.raises(InputError, match="line 2: must be messages with something to answer"):
        read_messages([ANSWERED])


@pytest.mark.parametrize(
    "value",
    [None, "", "hello", [], {}, "[1]", [1], [{"role": "user"}], [{"role": "user", "content": None}], {"role": "user"}],
)
def test_messages_of_another_shape_are_told_with_their_line(value):
    with pytest.raises(
        InputError, match=r'own.csv, line 2: must be messages of the shape \[{"role": "user", '
    ) as error:
        read_messages(value)
    assert "\n" not in str(error.value)


def test_a_missing_column_of_messages_lists_those_that_exist():
    with pytest.raises(InputError, match=r"data.messages: must be a column of own.csv \(q, a\), got 'chat'"):
        MessagesReader("chat", lambda *_: "").read(table("qa", ("x", "y")), with_completion=True)
