"""Quiet loading."""

import logging

import datasets
import huggingface_hub.utils.logging as hub_logging
import pytest
import transformers.utils.logging as transformers_logging

from dylora.backbones import hub_logs


def settings():
    return transformers_logging.get_verbosity(), hub_logging.get_verbosity(), datasets.are_progress_bars_disabled()


def fail_inside(seen):
    with hub_logs.quiet():
        seen.append(settings())
        raise RuntimeError("inside")


def test_all_is_quiet_inside_and_as_before_even_after_an_error():
    before, seen = settings(), []
    with pytest.raises(RuntimeError, match="inside"):
        fail_inside(seen)
    assert seen == [(logging.ERROR, logging.ERROR, True)]
    assert settings() == before


def test_bars_that_were_off_stay_off():
    datasets.disable_progress_bars()
    try:
        with hub_logs.quiet():
            pass
        assert datasets.are_progress_bars_disabled()
    finally:
        datasets.enable_progress_bars()
