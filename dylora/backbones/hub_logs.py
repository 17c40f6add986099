"""Keep the Hugging Face libraries' chatter off the terminal while something is loaded."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

OFFLINE_FIX = "or fill the Hugging Face cache on a machine with a network and set HF_HUB_OFFLINE=1"


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines below errors, no retry messages and no progress bars inside; as before afterwards."""
    # Loaded here, for some commands need no more of this module than a sentence.
    import datasets  # type: ignore[import-untyped]
    import huggingface_hub.utils.logging as hub_logging
    import transformers.utils.logging as transformers_logging

    verbosity = transformers_logging.get_verbosity(), hub_logging.get_verbosity()
    bars = not datasets.are_progress_bars_disabled()
    weight_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    hub_logging.set_verbosity(logging.ERROR)
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity[0])
        hub_logging.set_verbosity(verbosity[1])
        if bars:
            datasets.enable_progress_bars()
        if weight_bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
