"""Conversations as token ids, in the form of the model's own chat template.

A row is what `tokenizer.apply_chat_template` gives, up to the end of the last answer. A token counts for the
loss if its first character belongs to an answer: the text from the end of what the template writes before an answer
(`add_generation_prompt`) to the end token of the turn, which counts too. A template that ends a turn with no special
token gets the tokenizer's end token after the last one, for a text would otherwise never end.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, cast

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from dylora.data.completion import IGNORED, Limits, Row
from dylora.data.progress import Counted, silent, slices
from dylora.errors import InputError

TrainOn = Literal["completion", "all_assistant_turns"]
Message = dict[str, Any]
Span = tuple[int, int]


class ChatTemplate:
    """A model's chat template, as text.

    Args:
        tokenizer: The backbone's tokenizer.
        backbone: Its name, for messages.

    Raises:
        InputError: If it has no chat template, or cannot tell where a token stands in a text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, backbone: str) -> None:
        if not tokenizer.chat_template:
            allowed = "left out for a backbone whose tokenizer has no chat template"
            fix = "choose a chat model, or give columns with --data.prompt and --data.completion"
            raise InputError("data.messages", allowed, f"messages for {backbone}", fix)
        if not tokenizer.is_fast:
            allowed = "one with a fast tokenizer, which tells where each token stands"
            raise InputError("model.backbone", allowed, f"{backbone} without", "convert it to tokenizer.json")
        self.tokenizer = tokenizer

    def prompt(self, messages: Sequence[Message], where: str) -> str:
        """What the model reads before it answers.

        Args:
            messages: The messages that are to be answered.
            where: File and line, for the message.

        Raises:
            InputError: If the template refuses them.
        """
        return self._render(messages, where, add_generation_prompt=True)

    def answers(self, messages: Sequence[Message], where: str, train_on: TrainOn) -> tuple[str, list[Span]]:
        """A whole conversation, and where the answers that are trained on stand in it.

        Args:
            messages: The messages, of which the last is the assistant's.
            where: File and line, for the message.
            train_on: Whether the last answer counts or every one.

        Returns:
            The text, and first and past-the-end characters of each answer, in their order.

        Raises:
            InputError: If the template refuses the messages or writes the beginning of a conversation in another way
                once it goes on.
        """
        whole = self._render(messages, where)
        places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        chosen = places[-1:] if train_on == "completion" else places
        return whole, [self._span(messages, place, whole, where) for place in chosen]

    def _span(self, messages: Sequence[Message], place: int, whole: str, where: str) -> Span:
        before = self.prompt(messages[:place], where) if place else ""
        until = whole if place == len(messages) - 1 else self._render(messages[: place + 1], where)
        if not (whole.startswith(until) and until.startswith(before)):
            allowed = "messages whose answers the chat template leaves as they are when it shows them again"
            fix = "use --data.train_on completion" if place < len(messages) - 1 else "give columns, not messages"
            raise InputError(where, allowed, f"an answer, message {place + 1}, that it changes", fix)
        return len(before), len(until.rstrip())

    def _render(self, messages: Sequence[Message], where: str, add_generation_prompt: bool = False) -> str:
        tokenizer = cast(Any, self.tokenizer)
        try:
            return str(
                tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            roles = ", ".join(str(message["role"]) for message in messages)
            allowed = "messages that the model's chat template takes"
            fix = f"the template says: {str(error) or type(error).__name__}"
            raise InputError(where, allowed, f"the roles {roles}", fix) from error


class ChatEncoder:
    """Makes rows of conversations, for a decoder.

    Args:
        template: The model's chat template.
        limits: Where rows are cut: the row, and of it what stands before the last answer.
        open_bar: Opens a bar over the conversations.
    """

    def __init__(self, template: ChatTemplate, limits: Limits, open_bar: Counted = silent) -> None:
        self._open_bar = open_bar
        self._template = template
        self._tokenizer = template.tokenizer
        self._limits = limits

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer: the tokenizer's end token, and the one that the template puts there."""
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        answers = self._template.answers(messages, "the chat template", "completion")
        [(ids, _, _)] = self._labelled([answers])
        return tuple(dict.fromkeys((cast(int, self._tokenizer.eos_token_id), ids[-1])))

    def prompts(self, prompts: Sequence[str]) -> list[Row]:
        """One row a prompt, as the template writes it, to generate from."""
        found = []
        for piece in slices(len(prompts), self._open_bar):
            encoded = self._tokenizer(list(prompts[piece]), add_special_tokens=False, verbose=False)
            found += [self._cut(ids, [], len(ids)) for ids in encoded["input_ids"]]
        return found

    def rows(self, conversations: Sequence[tuple[str, list[Span]]]) -> list[Row]:
        """One row a conversation up to the end of its last answer, to train on.

        Args:
            conversations: Text and answers, as `ChatTemplate.answers` gives them.
        """
        found = []
        for piece in slices(len(conversations), self._open_bar):
            found += [self._cut(*labelled) for labelled in self._labelled(conversations[piece])]
        return found

    def _labelled(self, conversations: Sequence[tuple[str, list[Span]]]) -> list[tuple[list[int], list[int], int]]:
        """Ids, labels, and the number of tokens before the last answer, of each conversation."""
        texts = [text for text, _ in conversations]
        encoded = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        each = zip(encoded["input_ids"], encoded["offset_mapping"], conversations, strict=True)
        return [self._labels(ids, offsets, spans) for ids, offsets, (_, spans) in each]

    def _labels(self, ids: list[int], offsets: list[Span], spans: list[Span]) -> tuple[list[int], list[int], int]:
        starts = [start for start, _ in offsets]
        size = sum(start < spans[-1][1] for start in starts)
        ids = ids[:size]
        counted = [any(first <= start < end for first, end in spans) for start in starts[:size]]
        labels = [token if counts else IGNORED for token, counts in zip(ids, counted, strict=True)]
        if ids[-1] not in self._special:
            end = cast(int, self._tokenizer.eos_token_id)
            ids, labels = [*ids, end], [*labels, end]
        return ids, labels, sum(start < spans[-1][0] for start in starts)

    @cached_property
    def _special(self) -> set[int]:
        return {*self._tokenizer.all_special_ids, *self._tokenizer.added_tokens_decoder}

    def _cut(self, ids: list[int], labels: list[int], prompt: int) -> Row:
        """The prompt, all before the last answer, keeps its last tokens and its begin token; the row its first ones."""
        begin = 1 if ids[:1] == [self._tokenizer.bos_token_id] else 0
        left_out = max(0, prompt - self._limits.prompt)
        kept = [*range(begin), *range(begin + left_out, len(ids))] if left_out else range(len(ids))
        rows = [[values[place] for place in kept] if values else [] for values in (ids, labels)]
        limit = self._limits.row
        return Row(rows[0][:limit], rows[1][:limit], left_out > 0, len(rows[0]) > limit)
