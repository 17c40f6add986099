"""Files of generated texts and of references, as data sets, challenges and this project write them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dylora.data.sources import dart, e2e, webnlg
from dylora.data.sources.e2e import Form
from dylora.data.sources.json_text import load_json
from dylora.data.sources.text import Corpus
from dylora.data.sources.text_files import AGAIN, decode, read_bytes, split_lines
from dylora.data.sources.text_items import Item, group
from dylora.errors import InputError


def read_hypotheses(path: Path) -> list[str]:
    """The generated texts of a file, one an item; an empty text is one too.

    Args:
        path: JSON Lines (`.jsonl`) of strings or of objects with `output`, as `test` writes them; else a text a line.

    Raises:
        InputError: If the file is missing, empty, not UTF-8 or of another shape.
    """
    content = _text(path, "hypotheses")
    if path.suffix != ".jsonl":
        return split_lines(content)
    found = []
    for line, value in _json_lines(content, path):
        text = value.get("output") if isinstance(value, dict) else value
        if not isinstance(text, str):
            allowed = 'a string, or an object with the string "output"'
            raise InputError(f"{path}, line {line}", allowed, _start(value), "give a file that `test` wrote")
        found.append(text)
    return found


def read_references(path: Path, set_name: str, form: Form = "official") -> list[Item]:
    """The references of a file, item by item.

    Args:
        path: The set's official test file (`.csv` of E2E, `.json` of WebNLG and DART); JSON Lines (`.jsonl`) of lists
            of strings or of objects with `references`, as `test` writes them; else text with a reference a line and an
            empty line between items (without any empty line, each is an item of its own).
        set_name: `e2e`, `webnlg` or `dart`.
        form: Form of E2E in which an official file is read.

    Raises:
        InputError: If the file is missing, empty, not UTF-8, truncated or of another shape, or an item of a file other
            than the official ones has no reference.
    """
    content = _text(path, "references")
    if path.suffix in (".csv", ".json"):
        corpus = _corpus(set_name, form)
        return group(corpus.parse(read_bytes(path), path), corpus.most_references)
    if path.suffix == ".jsonl":
        return [_item(texts, f"{path}, line {line}") for line, texts in _json_lines(content, path)]
    blocks = [block.split("\n") for block in "\n".join(split_lines(content)).strip("\n").split("\n\n")]
    if len(blocks) == 1:
        blocks = [[line] for line in blocks[0]]
    return [_referenced(block, f"{path}, item {number}") for number, block in enumerate(blocks, start=1)]


def _corpus(set_name: str, form: Form) -> Corpus:
    if set_name == "e2e":
        return e2e.corpus(form)
    return webnlg.corpus() if set_name == "webnlg" else dart.corpus()


def _text(path: Path, argument: str) -> str:
    if not path.is_file():
        raise InputError(f"--{argument}", "a file", f"{str(path)!r}, which does not exist", "check the path")
    return decode(read_bytes(path), path)


def _json_lines(content: str, path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(split_lines(content), start=1):
        try:
            yield number, load_json(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}", "JSON", f"{line[:40]!r} ({error.msg})", AGAIN) from None


def _item(value: Any, where: str) -> Item:  # noqa: ANN401
    texts = value.get("references") if isinstance(value, dict) else value
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        allowed = 'a list of strings, or an object with the list "references"'
        raise InputError(where, allowed, _start(value), "give one list for each item")
    return _referenced(texts, where)


def _referenced(texts: Sequence[str], where: str) -> Item:
    found = tuple(text for text in texts if text.strip())
    if not found:
        fix = "give it one, or take the item out of both files"
        raise InputError(where, "an item with a reference to compare with", "none", fix)
    return Item("", found)


def _start(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
