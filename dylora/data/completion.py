"""Prompts and texts as token ids.

A decoder reads `prompt + separator + text + end` in one row; for GPT-2 this is, id for id, what the LoRA code base
makes: the text is encoded with a leading space, and separator and end token are both `<|endoftext|>`. For other
tokenizers the separator is the begin token (the end token where there is none), a begin token that the tokenizer
itself puts first stays there too (Llama has never seen a row without it), and the leading space is left out where the
tokenizer adds one of its own. An encoder-decoder model gets source and text as its tokenizer makes them, the
text with an end token in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers import PreTrainedTokenizerBase

from dylora.data.cache import CUT_TEXT, LENGTH, TRUNCATED
from dylora.data.progress import Counted, silent, slices
from dylora.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped]

IGNORED = -100  # The label that the loss leaves out.
_SHORTEST_PROMPT = 3  # A begin token, a word and the separator.


@dataclass(frozen=True)
class Limits:
    """Where rows are cut.

    Attributes:
        row: Tokens of prompt and text together; of the text alone for an encoder-decoder model.
        prompt: Tokens of the prompt with its special tokens, of which the last ones stay.
    """

    row: int
    prompt: int


def limits(tokenizer: PreTrainedTokenizerBase, window: int | None, max_length: int, max_context: int) -> Limits:
    """The limits that fit the options and the backbone.

    `max_length - max_context` positions stay free for the text. Where the backbone has fewer than `max_length`, the
    prompt gives way, down to half of what the backbone has.

    Args:
        tokenizer: The backbone's tokenizer, which may have a limit of its own.
        window: Number of positions of the backbone, or None.
        max_length: Wanted limit of prompt and text together.
        max_context: Wanted limit of the prompt, below `max_length`.

    Raises:
        InputError: If no prompt or no text would be left.
    """
    if not _SHORTEST_PROMPT <= max_context < max_length:
        allowed = f"at least {_SHORTEST_PROMPT} and below max_length, {max_length}"
        raise InputError("data.max_context", allowed, max_context, "leave room for the prompt and for the text")
    row = min(max_length, tokenizer.model_max_length, window or max_length)
    room = min(max_length - max_context, row // 2)
    prompt = min(max_context, row - room)
    if prompt < _SHORTEST_PROMPT:
        given = f"one with {row}"
        raise InputError("model.backbone", "a backbone with room for prompt and text", given, "choose another one")
    return Limits(row, prompt)


@dataclass(frozen=True)
class Row:
    """One prompt, with its text or without.

    Attributes:
        input_ids: What the model reads: (T,).
        labels: What it should write, `IGNORED` where nothing is asked for; empty for a prompt alone.
        truncated: Whether the prompt was cut.
        cut_text: Whether the text was cut.
    """

    input_ids: list[int]
    labels: list[int]
    truncated: bool
    cut_text: bool = False


def completion_rows(rows: Sequence[Row]) -> "Dataset":
    """The rows with the columns `input_ids`, `labels` (unless the rows are prompts alone), `index` (from 0).

    Beside them, `length` (tokens of the longer of the two), `truncated` and `cut_text`.
    """
    from datasets import Dataset

    columns: dict[str, list[object]] = {
        "input_ids": [row.input_ids for row in rows],
        "index": list(range(len(rows))),
        LENGTH: [max(len(row.input_ids), len(row.labels)) for row in rows],
        TRUNCATED: [row.truncated for row in rows],
        CUT_TEXT: [row.cut_text for row in rows],
    }
    if any(row.labels for row in rows):
        columns["labels"] = [row.labels for row in rows]
    return Dataset.from_dict(columns)


class CompletionEncoder:
    """Makes rows for one backbone.

    Args:
        tokenizer: The backbone's tokenizer.
        is_encoder_decoder: Whether source and text go into the model separately.
        limits: Where rows are cut.
        open_bar: Opens a bar over the texts.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        is_encoder_decoder: bool,
        limits: Limits,
        open_bar: Counted = silent,
    ) -> None:
        self._open_bar = open_bar
        self._tokenizer = tokenizer
        self._is_encoder_decoder = is_encoder_decoder
        self._limits = limits
        begin, self._end = tokenizer.bos_token_id, tokenizer.eos_token_id
        assert self._end is not None
        if is_encoder_decoder:
            return
        self._separator = self._end if begin is None else begin
        self._begin = [begin] if begin is not None and tokenizer("a")["input_ids"][:1] == [begin] else []
        self._space = "" if _adds_space(tokenizer) else " "

    def prompts(self, sources: Sequence[str]) -> list[Row]:
        """One row a source, to generate from."""
        if self._is_encoder_decoder:
            return [self._source_row(ids) for ids in self._ids(sources)]
        return [self._prompt_row(ids) for ids in self._ids(sources)]

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Row]:
        """One row a (source, text) pair, to train on.

        Its labels are as long as its `input_ids` for a decoder; for an encoder-decoder model they are the text's ids.
        """
        sources = list(dict.fromkeys(source for source, _ in pairs))
        prompts = dict(zip(sources, self.prompts(sources), strict=True))
        texts = self._ids([text for _, text in pairs], are_texts=True)
        return [self._join(prompts[source], ids) for (source, _), ids in zip(pairs, texts, strict=True)]

    def _ids(self, texts: Sequence[str], are_texts: bool = False) -> list[list[int]]:
        """Token ids; the special tokens around them are an encoder-decoder tokenizer's own business."""
        found: list[list[int]] = []
        for piece in slices(len(texts), self._open_bar):
            if self._is_encoder_decoder:
                encoded = self._tokenizer(**{"text_target" if are_texts else "text": list(texts[piece])}, verbose=False)
            else:
                space = self._space if are_texts else ""
                spaced = [space + text for text in texts[piece]]
                encoded = self._tokenizer(spaced, add_special_tokens=False, verbose=False)
            found += encoded["input_ids"]
        return found

    def _prompt_row(self, ids: list[int]) -> Row:
        room = self._limits.prompt - len(self._begin) - 1
        return Row([*self._begin, *ids[-room:], self._separator], [], truncated=len(ids) > room)

    def _source_row(self, ids: list[int]) -> Row:
        """A cut source keeps the special token at its begin, where there is one."""
        limit = self._limits.prompt
        if len(ids) <= limit:
            return Row(ids, [], truncated=False)
        kept = ids[:1] if ids[0] in self._tokenizer.all_special_ids else []
        return Row([*kept, *ids[len(kept) - limit :]], [], truncated=True)

    def _join(self, prompt: Row, ids: list[int]) -> Row:
        if self._is_encoder_decoder:
            limit = self._limits.row
            text = ids if ids[-1:] == [self._end] else [*ids, self._end]
            return Row(prompt.input_ids, text[:limit], prompt.truncated, len(text) > limit)
        room = self._limits.row - len(prompt.input_ids)
        text = [*ids, self._end][:room]
        labels = [IGNORED] * len(prompt.input_ids) + text
        return Row(prompt.input_ids + text, labels, prompt.truncated, len(ids) + 1 > room)


def _adds_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a text's first word gets a space before it anyway (SentencePiece, or GPT-2 told to)."""
    first = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"])[:1]
    return "".join(first).startswith(("\u2581", "\u0120"))
