"""Lightning data module of a user's own prompts and completions, or conversations, for models that write text."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info
from typing_extensions import override

from dylora.data.base import Part
from dylora.data.chat import ChatEncoder, ChatTemplate, TrainOn
from dylora.data.completion import CompletionEncoder, Row, completion_rows
from dylora.data.packing import packed_rows
from dylora.data.progress import Counted, silent
from dylora.data.sources.hub_table import HubSet
from dylora.data.sources.prompt_source import PromptSource
from dylora.data.sources.prompts import Example, MessagesReader, TemplateReader
from dylora.data.sources.table import RANK
from dylora.data.table_to_text import PAIRS, TableToTextDataModule
from dylora.errors import InputError


class PromptDataModule(TableToTextDataModule):
    """Batches of a user's own prompts and completions, or of conversations, tokenised once and cached.

    Files are CSV, TSV, JSON Lines or Parquet, by their endings. A row is a prompt and a completion, each a template
    over its columns, or a conversation in the model's own chat template. The loss counts the completion and its end
    token. A completion that does not fit is refused; a prompt that is too long loses its first tokens, and the number
    of such rows is told. Batches are those of the table-to-text sets; a packed batch has `position_ids` (B, T) too,
    which begin anew with each of its rows.

    Args:
        train_file: Rows to train on.
        validation_file: Rows to validate on; null splits off a share of the training prompts.
        test_file: Rows of `test` and `predict`; for `predict` they may lack completions, and have a `rank` each, at
            which alone they are written.
        hub: A set on the hub, in place of files.
        validation_share: Share of the different training prompts, chosen by the seed, that is split off where there is
            no validation data; above 0 and below 1.
        prompt: The prompt as text with names of columns in braces, such as `Summarise: {text}`.
        completion: The completion, in the same way.
        messages: Column of conversations, lists of `{"role": ..., "content": ...}`; null takes prompt and completion.
        train_on: Of a conversation, its last answer or every one.
        packing: Whether training rows are put together into rows of up to `max_length` tokens, in which they do not see
            each other; not for an encoder-decoder model.
        max_context: Number of tokens at which a prompt is cut; the last ones are kept. Null leaves an eighth of
            `max_length` for the completion.
        **options: As for the table-to-text sets.

    Attributes:
        name: The stem of the training file (of another one where there is none), or the name of the hub's set.

    Raises:
        InputError: If a value is out of range, there is no data, or two options exclude each other.
    """

    def __init__(
        self,
        train_file: str | None = None,
        validation_file: str | None = None,
        test_file: str | None = None,
        hub: HubSet | None = None,
        validation_share: float = 0.1,
        prompt: str = "{prompt}",
        completion: str = "{completion}",
        messages: str | None = None,
        train_on: TrainOn = "completion",
        packing: bool = False,
        max_context: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        files = {"train": train_file, "validation": validation_file, "test": test_file}
        paths = {split: Path(name).expanduser() for split, name in files.items() if name}
        reader = MessagesReader(messages, self._rendered) if messages else TemplateReader(prompt, completion)
        if train_on == "all_assistant_turns" and not messages:
            fix = "name the column of the conversations with --data.messages"
            raise InputError("data.train_on", "completion where there are no conversations", train_on, fix)
        self._examples = PromptSource(paths, hub, reader, validation_share, options.get("seed", 10))
        longest = options.get("max_length", 512)
        super().__init__(self._examples, max_context=max_context or longest - max(1, longest // 8), **options)
        self._is_chat = messages is not None
        self._train_on = train_on
        self._packing = packing

    @property
    @override
    def run_name(self) -> str:
        """The name of the file or set; all own data is one task."""
        return self.name

    @property
    def text_form(self) -> dict[str, Any]:
        """What whoever generates later must know, in plain types: the end tokens, and whether prompts are chats."""
        return {"end_ids": list(self.end_ids), "is_chat": self._is_chat}

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The tokens that end a completion, the tokenizer's end token first; an empty line ends none."""
        if self._is_chat:
            return self._chat_encoder().end_ids
        assert isinstance(self.tokenizer.eos_token_id, int)
        return (self.tokenizer.eos_token_id,)

    @cached_property
    def _template(self) -> ChatTemplate:
        self._refuse_encoder_decoder("data.messages")
        return ChatTemplate(self.tokenizer, self._backbone)

    def _chat_encoder(self, open_bar: Counted = silent) -> ChatEncoder:
        return ChatEncoder(self._template, self.limits, open_bar)

    def _rendered(self, messages: Any, where: str) -> str:  # noqa: ANN401
        return self._template.prompt(messages, where)

    def _refuse_encoder_decoder(self, option: str) -> None:
        if self.is_encoder_decoder:
            fix = "leave it out, or choose a causal language model"
            raise InputError(option, "left out for an encoder-decoder model", f"it for {self._backbone}", fix)

    @override
    def cache_key(self, part: Part) -> tuple[str, ...]:
        """That of all texts, with the template of conversations and how training rows are made of them."""
        chat = json.dumps(self.tokenizer.chat_template) if self._is_chat else ""
        return (*super().cache_key(part), chat, self._train_on, str(self._is_packed(part)))

    def _is_packed(self, part: Part) -> bool:
        return self._packing and part == Part("train", PAIRS)

    @override
    def make_rows(self, part: Part) -> Dataset:
        """The completions of a split with their prompts, or its different prompts, as token ids.

        Raises:
            InputError: If a completion does not fit, or a conversation cannot be made into a row.
        """
        if part.form != PAIRS:
            items = self.items(part.split)
            encoder = self._chat_encoder(self.counted(part)) if self._is_chat else self._text_encoder(part)
            made = completion_rows(encoder.prompts([item.source for item in items]))
            own = [item.rank for item in items]
            return made if None in own else made.add_column(RANK, own)
        rows = self._rows(part)
        if not self._is_packed(part):
            return completion_rows(rows)
        self._refuse_encoder_decoder("data.packing")
        return packed_rows(rows, self.limits.row)

    def _text_encoder(self, part: Part) -> CompletionEncoder:
        return CompletionEncoder(self.tokenizer, self.is_encoder_decoder, self.limits, self.counted(part))

    def _rows(self, part: Part) -> list[Row]:
        examples = self._examples.examples(part.split)
        if self._is_chat:
            answers = (self._template.answers(example.messages, example.where, self._train_on) for example in examples)
            rows = self._chat_encoder(self.counted(part)).rows(list(answers))
        else:
            rows = self._text_encoder(part).pairs([(example.prompt, example.completion or "") for example in examples])
        for example, row in zip(examples, rows, strict=True):
            if row.cut_text:
                self._refuse_long(example)
        return rows

    def _refuse_long(self, example: Example) -> None:
        """A completion that is cut would be learned without its end."""
        count = len(self.tokenizer(example.completion, add_special_tokens=False, verbose=False)["input_ids"])
        allowed = f"a completion that fits into {self.limits.row} tokens, with its prompt and its end token"
        if self.is_encoder_decoder:
            allowed = f"a completion of up to {self.limits.row} tokens, with its end token"
        fix = "raise --data.max_length as far as the backbone goes, or shorten it or take the row out"
        raise InputError(example.where, allowed, f"one of {count} tokens", fix)

    @override
    def report(self, part: Part) -> None:
        """Tell how many prompts were cut, and how many rows were packed."""
        if not self._is_packed(part):
            super().report(part)
            return
        rows = self.rows(part)
        count, cut = sum(rows["rows"][:]), sum(rows["truncated"][:])
        where = f"{self.name} {part.split}"
        rank_zero_info(f"{where}: packed {count} rows into {len(rows)} of up to {self.limits.row} tokens")
        if cut:
            rank_zero_info(f"{where}: cut {cut} of {count} prompts to their last {self.limits.prompt} tokens")
