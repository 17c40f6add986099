"""JSON of data files: what Python's reader gives up on, or takes though no text can hold it, is an error in it, too."""

import json
import re
from collections.abc import Callable
from typing import Any

from dylora.errors import InputError

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def load_json(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:  # noqa: ANN401
    r"""The value of a JSON text.

    Args:
        text: The text.
        pairs: Makes an object of its names and values; None for a dict.

    Raises:
        json.JSONDecodeError: If it is no JSON, is nested too deeply, has a number of thousands of digits, or a string
            with half of a pair of surrogates, which is no character.

    >>> load_json('"\\ud83d\\ude00"')
    '😀'
    """
    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", text, 0) from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError | InputError):  # the second from `pairs`
            raise
        raise json.JSONDecodeError("A number of too many digits", text, 0) from None
    if found := _ESCAPED_SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise json.JSONDecodeError("Half of a pair of surrogates", text, found.start()) from None
    return value
