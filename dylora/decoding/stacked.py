"""One call of transformers' `generate` for a batch of prompts at several ranks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from dylora.adapters.active_rank import check_rank, rank_state, repeated_rows, use_rank
from dylora.adapters.rank_per_row import may_stack, takes_rank_per_row
from dylora.backbones import hub_logs
from dylora.decoding.config import DecodingConfig
from dylora.decoding.no_repeat import NoRepeatGeneratedNGram
from dylora.decoding.shared_prompt import Inputs, with_shared_prompts
from dylora.errors import InputError

_KEPT = ("bos_token_id", "decoder_start_token_id", "forced_bos_token_id")
_CHECKED_TOKENS = 2
_CACHED_TOKENS = {"cpu": 6144}
"""Tokens of all rows, beams included, that one call's caches hold at its end. A CPU is slower with more."""
_NOT_SUPPORTED = ("cannot use beam search", "only supports")  # how transformers refuses a way of decoding


def end_token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokens that end a text: the tokenizer's end token, and its token for an empty line if it has one.

    Raises:
        InputError: If the tokenizer has no end token.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError("model.backbone", "one whose tokenizer has an end token", "none", "add eos_token to it")
    line = tokenizer.encode("\n\n", add_special_tokens=False)
    # One token of two line breaks: 628 in GPT-2. Without one, texts are cut at an empty line once they are text.
    return (end, *line) if len(line) == 1 and tokenizer.decode(line) == "\n\n" else (end,)


def text_of(tokenizer: PreTrainedTokenizerBase, tokens: list[int], is_one_paragraph: bool = True) -> str:
    """The text of generated tokens without white space around it; of one paragraph, up to the first empty line."""
    text = cast(str, tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return (text.split("\n\n")[0] if is_one_paragraph else text).strip()


@torch.no_grad()
def generate_at_ranks(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    ranks: Sequence[int],
    decoding: DecodingConfig,
    end_ids: Sequence[int],
    pad_id: int,
) -> list[list[list[int]]]:
    """Continue every prompt at every rank.

    The batch is repeated once for each rank, or for as many of them as pay, and each row runs at its own; beam search
    repeats rows, and their ranks with them. The first batch is checked: its first tokens are generated at one rank at a
    time too, and where the scores differ, this model runs at one rank at a time from then on. What the model's own
    files say about decoding is not used.

    Args:
        model: An adapted model in evaluation mode.
        input_ids: (rows, tokens), prompts padded on the left; for an encoder-decoder model, sources padded on the
            right.
        attention_mask: (rows, tokens), 0 at padding.
        ranks: Ranks to generate at.
        decoding: How to generate.
        end_ids: Tokens that end a text.
        pad_id: The padding token.

    Returns:
        For each rank, and each row, the generated tokens up to the end token, which is left out.

    Raises:
        InputError: If a prompt with its continuation is longer than the model's context, or the model cannot decode
            in that way.
    """
    _check_length(model, attention_mask, decoding.max_new_tokens)
    call = _Call(model, input_ids, attention_mask, decoding, tuple(end_ids), pad_id)
    stacks = may_stack(model, "generation", ranks, call.scores_at)
    calls = ranks_of_calls(model, input_ids, ranks, decoding) if stacks else [[rank] for rank in ranks]
    return [texts for some in calls for texts in call.texts_at(some)]


def ranks_of_calls(
    model: PreTrainedModel, input_ids: Tensor, ranks: Sequence[int], decoding: DecodingConfig
) -> list[Sequence[int]]:
    """The ranks of each call of `generate` that `generate_at_ranks` makes.

    They are as many at once as are no slower than one; all where texts are drawn, as what is drawn depends on it. A
    model that was not checked yet is taken for one that keeps rows apart.

    Args:
        model: As for `generate_at_ranks`, like the arguments below.
        input_ids: (rows, tokens).
        ranks: Ranks to generate at.
        decoding: How to generate.
    """
    most = _CACHED_TOKENS.get(input_ids.device.type)
    size = max(1, len(ranks))
    if size > 1 and not takes_rank_per_row(model):
        size = 1
    elif most is not None and not decoding.sample:
        tokens = input_ids.shape[1] + decoding.max_new_tokens
        size = max(1, most // (len(input_ids) * decoding.num_beams * tokens))
    return [ranks[start : start + size] for start in range(0, len(ranks), size)]


@torch.no_grad()
def generate_at_own_ranks(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    ranks: Tensor,
    decoding: DecodingConfig,
    end_ids: Sequence[int],
    pad_id: int,
) -> list[list[int]]:
    """Continue every prompt at a rank of its own, in one call with one copy of the weights.

    A model that does not keep the rows of a batch apart writes those of one rank at a time.

    Args:
        model: As for `generate_at_ranks`, like the arguments below.
        input_ids: (rows, tokens).
        attention_mask: (rows, tokens).
        ranks: (rows,), 1-based.
        decoding: How to generate.
        end_ids: Tokens that end a text.
        pad_id: The padding token.

    Returns:
        For each row the generated tokens up to the end token, which is left out.

    Raises:
        InputError: As for `generate_at_ranks`, and if a rank is none that the adapter is trained at.
    """
    check_rank(ranks, rank_state(model).config.ranks)
    _check_length(model, attention_mask, decoding.max_new_tokens)
    call = _Call(model, input_ids, attention_mask, decoding, tuple(end_ids), pad_id)
    distinct = sorted(set(ranks.tolist()))
    if may_stack(model, "generation", distinct, call.scores_at):
        return call.texts_at_own(ranks if len(distinct) > 1 else distinct[0])
    places = [(ranks == rank).nonzero().flatten() for rank in distinct]
    found: dict[int, list[int]] = {}
    for rank, place in zip(distinct, places, strict=True):
        some = replace(call, input_ids=input_ids[place], attention_mask=attention_mask[place])
        found |= zip(place.tolist(), some.texts_at_own(rank), strict=True)
    return [found[row] for row in range(len(input_ids))]


@dataclass(frozen=True)
class _Call:
    """One batch of prompts and how to continue them; see `generate_at_ranks`."""

    model: PreTrainedModel
    input_ids: Tensor
    attention_mask: Tensor
    decoding: DecodingConfig
    end_ids: tuple[int, ...]
    pad_id: int

    def texts_at(self, ranks: Sequence[int]) -> list[list[list[int]]]:
        """The generated tokens at each rank, for each row."""
        rows = len(self.input_ids)
        texts = self._until_ends(self._stacked(ranks, {}))
        return [texts[start : start + rows] for start in range(0, len(texts), rows)]

    def texts_at_own(self, rank: int | Tensor) -> list[list[int]]:
        """The generated tokens of each row, at one rank for all or (rows,) of their own."""
        return self._until_ends(self._run(rank, 1, {}))

    def _until_ends(self, output: Any) -> list[list[int]]:  # noqa: ANN401
        return [_until_end(row, self.end_ids) for row in output.sequences[:, self._prompt :].tolist()]

    def scores_at(self, ranks: Sequence[int]) -> Tensor:
        """Logits (ranks * rows, tokens * vocabulary) of the first tokens, the second of which comes from a cache."""
        few = min(_CHECKED_TOKENS, self.decoding.max_new_tokens)
        greedy = replace(self, decoding=DecodingConfig(max_new_tokens=few))
        logits = greedy._stacked(ranks, {"min_new_tokens": few, "output_logits": True}).logits
        return torch.stack(logits, 1).flatten(1)

    @property
    def _prompt(self) -> int:
        """Number of tokens in front of the generated ones."""
        return 1 if self.model.config.is_encoder_decoder else self.input_ids.shape[1]

    def _stacked(self, ranks: Sequence[int], changes: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """The batch once for each rank."""
        rows = len(self.input_ids)
        rank = ranks[0] if len(ranks) == 1 else torch.tensor(ranks).repeat_interleave(rows)
        return self._run(rank, len(ranks), changes)

    def _run(self, rank: int | Tensor, times: int, changes: Mapping[str, Any]) -> Any:  # noqa: ANN401
        decoding, model = self.decoding, self.model
        processors = LogitsProcessorList()
        if decoding.no_repeat_ngram_size:
            processors.append(NoRepeatGeneratedNGram(decoding.no_repeat_ngram_size, self._prompt))
        special = {"eos_token_id": list(self.end_ids), "pad_token_id": self.pad_id, **_special_tokens(model)}
        settings = _settings(decoding, special, changes)
        random = _seeded(decoding.sampling_seed, self.input_ids) if decoding.sample else nullcontext()
        inputs = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        stacked = {name: value.repeat(times, 1) for name, value in inputs.items()}
        eager = torch.compiler.set_stance("force_eager")  # the cache grows with every token
        with use_rank(model, rank), repeated_rows(model, decoding.num_beams), random, eager:
            if decoding.num_beams > 1 and decoding.max_new_tokens > 1:
                greedy = partial(_greedy, model, special)
                stacked = dict(with_shared_prompts(model, stacked, decoding.num_beams, greedy))
            return _generate(model, settings, processors, stacked)


def _greedy(model: PreTrainedModel, special: Mapping[str, Any], inputs: Inputs, tokens: int) -> Any:  # noqa: ANN401
    """So many tokens, with their logits and the cache."""
    changes = {"min_new_tokens": tokens, "output_logits": True}
    settings = _settings(DecodingConfig(max_new_tokens=tokens), special, changes)
    return _generate(model, settings, LogitsProcessorList(), inputs)


def _settings(decoding: DecodingConfig, special: Mapping[str, Any], changes: Mapping[str, Any]) -> GenerationConfig:
    settings = decoding.settings(**special)
    cast(Any, settings).update(return_dict_in_generate=True, **changes)
    return settings


def _generate(
    model: PreTrainedModel,
    settings: GenerationConfig,
    processors: LogitsProcessorList,
    inputs: Inputs,
) -> Any:  # noqa: ANN401 (one of transformers' output classes)
    generate = cast(Any, model).generate
    before = model.generation_config
    model.generation_config = settings  # transformers fills what is not set from here
    try:
        with hub_logs.quiet():  # else transformers takes a prompt's last token for padding where the two are the same
            output = generate(**inputs, generation_config=settings, logits_processor=processors)
    except ValueError as error:
        if not any(words in str(error) for words in _NOT_SUPPORTED):
            raise
        given = f"{settings.num_beams or 1} with {type(model).__name__}"
        raise InputError("model.num_beams", "a number that transformers supports", given, str(error)) from error
    finally:
        model.generation_config = before
    return output


def _special_tokens(model: PreTrainedModel) -> dict[str, int]:
    """The special tokens that decoding of this model begins with."""
    sources = (model.generation_config, model.config)
    found = {name: next((i for s in sources if (i := getattr(s, name, None)) is not None), None) for name in _KEPT}
    return {name: value for name, value in found.items() if value is not None}


def _check_length(model: PreTrainedModel, attention_mask: Tensor, max_new_tokens: int) -> None:
    context = getattr(model.config, "max_position_embeddings", None)
    if context is None:
        return
    is_encoder_decoder = model.config.is_encoder_decoder
    if max_new_tokens >= context:
        fix = "choose a smaller number"
        raise InputError("model.max_new_tokens", f"below the model's context of {context} tokens", max_new_tokens, fix)
    room = context if is_encoder_decoder else context - max_new_tokens
    longest = int(attention_mask.sum(1).max())
    if longest > room:
        reserved = "" if is_encoder_decoder else f", {max_new_tokens} of it for the text"
        allowed = f"at most {room} tokens long (the model's context is {context}{reserved})"
        raise InputError("prompt", allowed, f"one of {longest}", "shorten the prompts, or lower model.max_new_tokens")


def _until_end(tokens: list[int], end_ids: Sequence[int]) -> list[int]:
    length = next((place for place, token in enumerate(tokens) if token in end_ids), len(tokens))
    return tokens[:length]


@contextmanager
def _seeded(seed: int, input_ids: Tensor) -> Iterator[None]:
    """Random numbers that follow from the seed and the prompts; the generators are as before afterwards."""
    device = input_ids.device
    words = np.random.SeedSequence([seed, *input_ids.flatten().tolist()]).generate_state(1)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(words[0]))
        yield
