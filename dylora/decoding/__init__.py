"""Generating text with transformers' `generate`, at many ranks in one call."""

from dylora.decoding.config import PRESETS, DecodingConfig, PresetName, preset
from dylora.decoding.no_repeat import NoRepeatGeneratedNGram
from dylora.decoding.stacked import end_token_ids, generate_at_own_ranks, generate_at_ranks, ranks_of_calls, text_of

__all__ = [
    "PRESETS",
    "DecodingConfig",
    "NoRepeatGeneratedNGram",
    "PresetName",
    "end_token_ids",
    "generate_at_own_ranks",
    "generate_at_ranks",
    "preset",
    "ranks_of_calls",
    "text_of",
]
