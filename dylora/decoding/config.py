"""How text is generated, and the protocols of the published results as presets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from transformers import GenerationConfig

from dylora.errors import InputError, check_at_least

PresetName = Literal["e2e", "e2e_lora", "webnlg", "dart", "greedy", "sampling"]


@dataclass(frozen=True)
class DecodingConfig:
    """How text is generated: greedily, by beam search, or by sampling.

    Beam search returns the hypothesis with the largest log-probability / length ** length_penalty, its length counted
    in generated tokens, the end token included, and goes on until none that is still open could come out ahead.
    Probabilities are those of the tokens that may follow: where n-grams are barred, the rest is normalised again.

    Attributes:
        num_beams: Hypotheses that beam search keeps, at least 1; 1 is greedy decoding, or sampling.
        length_penalty: Exponent of the length; 0 ranks by log-probability alone, above 0 favours longer texts.
        no_repeat_ngram_size: n-grams of this size occur once in a generated text, at most; the prompt does not count.
            0 switches it off.
        max_new_tokens: Largest number of generated tokens, the end token included, at least 1.
        sample: Whether tokens are drawn at random.
        temperature: Divides the logits when sampling, above 0; below 1 favours probable tokens.
        top_p: Sampling draws from the most probable tokens that together reach this probability; above 0, at most 1.
        sampling_seed: Seed of the sampling, 0 or larger. What is drawn is a function of it and the batch of prompts.

    Raises:
        InputError: If a value is outside what is written above.
    """

    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    max_new_tokens: int = 64
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    sampling_seed: int = 10

    def __post_init__(self) -> None:
        check_at_least("model", 1, num_beams=self.num_beams, max_new_tokens=self.max_new_tokens)
        check_at_least("model", 0, no_repeat_ngram_size=self.no_repeat_ngram_size, sampling_seed=self.sampling_seed)
        if not math.isfinite(self.length_penalty):
            raise InputError("model.length_penalty", "a finite number", self.length_penalty, "the paper uses 0.8, 0.9")
        if not 0 < self.temperature < math.inf:
            raise InputError("model.temperature", "above 0", self.temperature, "1 leaves the probabilities alone")
        if not 0 < self.top_p <= 1:
            raise InputError("model.top_p", "above 0 and at most 1", self.top_p, "1 draws from all tokens")
        if self.sample and self.num_beams > 1:
            raise InputError("model.num_beams", "1 when sampling", self.num_beams, "use a preset of beam search")

    def settings(self, **special_tokens: Any) -> GenerationConfig:  # noqa: ANN401 (ids, or lists of them)
        """The same for transformers; the n-grams are not in it, as transformers would count the prompt's.

        Args:
            special_tokens: The ids of the end, padding and other special tokens, under transformers' names.

        Raises:
            InputError: If transformers refuses the values.
        """
        values: dict[str, Any] = {"max_new_tokens": self.max_new_tokens, "do_sample": self.sample, "use_cache": True}
        if self.num_beams > 1:
            values |= {"num_beams": self.num_beams, "length_penalty": self.length_penalty}
            values |= {"early_stopping": "never", "renormalize_logits": True}
        if self.sample:
            values |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        try:
            settings: GenerationConfig = cast(Any, GenerationConfig)(**values, **special_tokens)
        except ValueError as error:
            raise InputError("model.decoding", "what transformers accepts", values, str(error)) from error
        return settings


_TABLE_TO_TEXT = DecodingConfig(num_beams=10, length_penalty=0.8, no_repeat_ngram_size=4)
PRESETS: Mapping[PresetName, DecodingConfig] = {
    "e2e": replace(_TABLE_TO_TEXT, length_penalty=0.9),
    "e2e_lora": _TABLE_TO_TEXT,
    "webnlg": _TABLE_TO_TEXT,
    "dart": _TABLE_TO_TEXT,
    "greedy": DecodingConfig(),
    "sampling": DecodingConfig(sample=True),
}


def preset(name: PresetName, **changes: Any) -> DecodingConfig:  # noqa: ANN401 (the fields' types)
    """A preset, with some values changed.

    Args:
        name: `e2e`, `webnlg` or `dart`, the paper's protocol of that data set; `e2e_lora`, that of LoRA's published
            commands; `greedy`; or `sampling`.
        changes: Fields of `DecodingConfig` to change; None keeps the preset's value.

    Raises:
        InputError: If there is no such preset, or a value is out of range.

    >>> preset("e2e", num_beams=4, top_p=None).num_beams, preset("e2e").length_penalty
    (4, 0.9)
    """
    if name not in PRESETS:
        allowed = "one of " + ", ".join(get_args(PresetName))
        raise InputError("model.decoding", allowed, repr(name), "choose a preset from the list")
    return replace(PRESETS[name], **{key: value for key, value in changes.items() if value is not None})
