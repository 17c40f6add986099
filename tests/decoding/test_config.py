"""The ways of decoding, and the published protocols."""

import pytest

from dylora.decoding import PRESETS, DecodingConfig, preset
from dylora.errors import InputError


@pytest.mark.parametrize(("name", "penalty"), [("e2e", 0.9), ("e2e_lora", 0.8), ("webnlg", 0.8), ("dart", 0.8)])
def test_protocol_of_each_data_set(name, penalty):
    config = PRESETS[name]
    assert (config.num_beams, config.length_penalty) == (10, penalty)
    assert (config.no_repeat_ngram_size, config.max_new_tokens) == (4, 64)
    assert not config.sample


def test_a_changed_preset_keeps_the_rest():
    config = preset("e2e", num_beams=4, length_penalty=None)
    assert (config.num_beams, config.length_penalty, config.no_repeat_ngram_size) == (4, 0.9, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_beams": 0}, r"model.num_beams: must be at least 1, got 0;"),
        ({"max_new_tokens": 0}, r"model.max_new_tokens: must be at least 1, got 0;"),
        ({"no_repeat_ngram_size": -1}, r"model.no_repeat_ngram_size: must be at least 0, got -1;"),
        ({"length_penalty": float("nan")}, r"model.length_penalty: must be a finite number, got nan;"),
        ({"sample": True, "temperature": 0.0}, r"model.temperature: must be above 0, got 0.0;"),
        ({"sample": True, "top_p": 1.5}, r"model.top_p: must be above 0 and at most 1, got 1.5;"),
        ({"sample": True, "sampling_seed": -1}, r"model.sampling_seed: must be at least 0, got -1;"),
        ({"sample": True, "num_beams": 2}, r"model.num_beams: must be 1 when sampling, got 2;"),
    ],
)
def test_bad_values_are_one_line(values, message):
    with pytest.raises(InputError, match=message) as error:
        DecodingConfig(**values)
    assert "\n" not in str(error.value)


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(InputError, match=r"model.decoding: must be one of e2e, e2e_lora, webnlg, dart, greedy"):
        preset("xsum")


def test_what_transformers_refuses_is_one_line(monkeypatch):
    def refuse(**values):
        raise ValueError("`num_beams` is no good\nsee there")

    monkeypatch.setattr("dylora.decoding.config.GenerationConfig", refuse)
    with pytest.raises(InputError, match=r"model.decoding: must be what transformers accepts.*is no good see there"):
        PRESETS["e2e"].settings()
