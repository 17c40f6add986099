"""Everything that reads a user's input, what is given to it in bulk, and whether what it took was right.

A reader's `take` reads one input and says whether the outcome is right, by other means than the package's own.
"""

import csv
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]
from faults.mutations import CANARY, damaged, texts_of
from hypothesis import strategies as st
from torch import nn

from dylora.adapters.rank_spec import parse_ranks
from dylora.adapters.ranks import RankRange
from dylora.adapters.targets import find_targets
from dylora.data.sources import dart, e2e, webnlg
from dylora.data.sources.glue_tsv import read_split
from dylora.data.sources.prompts import parse_messages
from dylora.data.sources.score_files import read_hypotheses, read_references
from dylora.data.sources.table_files import read_table
from dylora.runs.checkpoints import KEY, identity, read_checkpoint
from dylora.runs.digests import DIGESTS, digests_of
from dylora.runs.yaml_text import read_yaml
from dylora.tasks import get_task

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: What it reads.
        inputs: What is given to it.
        take: Reads one input, in a folder of its own; whether what it took is right.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    take: Callable[[Any, Path], bool]


def readers() -> tuple[Reader, ...]:
    """All of them."""
    return (
        Reader("rank expressions", _RANKS, _take_ranks),
        Reader("patterns of modules", st.lists(_PATTERNS, max_size=3), _take_patterns),
        Reader("configurations", damaged(_configurations()), _take_configuration),
        Reader("TSV", damaged([_TSV]), _take_tsv),
        Reader("CSV", damaged([_CSV]), _take_csv),
        Reader("JSON Lines", damaged([_JSON_LINES]), _take_json_lines),
        Reader("E2E", damaged([_E2E]), lambda content, folder: _take_entries(e2e.parse, content, folder, "official")),
        Reader("WebNLG", damaged([_WEBNLG]), lambda content, folder: _take_entries(webnlg.parse, content, folder)),
        Reader("DART", damaged([_DART]), lambda content, folder: _take_entries(dart.parse, content, folder)),
        Reader("generated texts", damaged([_OUTPUTS]), _take_outputs),
        Reader(
            "chat messages", damaged([_MESSAGES]).map(lambda content: content.decode(errors="ignore")), _take_messages
        ),
        Reader("checkpoints", _checkpoints(), _take_checkpoint),
    )


_RANK_RANGE = RankRange(1, 8)
_RANKS = texts_of("0123456789,- \uff13\u00b2\u0663", ["all", "1-8", "2,4", "9" * 5000, "-", "0x1", "1e0", "None", ".."])
_ONE_OR_TWO = re.compile(r"\s*([0-9]+)(?:-([0-9]+))?\s*")


def _take_ranks(text: str, folder: Path) -> bool:
    found = parse_ranks(text, _RANK_RANGE)
    if text.strip() == "all":
        return found == tuple(range(1, 9))
    parts = [_ONE_OR_TWO.fullmatch(part) for part in text.split(",")]
    wanted = {rank for part in parts if part for rank in range(int(part[1]), int(part[2] or part[1]) + 1)}
    return all(parts) and found == tuple(sorted(wanted)) and wanted <= set(range(1, 9))


_MODEL = nn.ModuleDict(
    {
        "encoder": nn.ModuleDict({"query": nn.Linear(4, 4), "value": nn.Linear(4, 4), "norm": nn.LayerNorm(4)}),
        "decoder": nn.ModuleDict({"query": nn.Linear(4, 4), "act": nn.ReLU()}),
    }
)
_PATTERNS = texts_of(
    "*?[]!.,qkv^$(\\\0é ", ["query", "value", "encoder", "decoder", "norm", "[q,v]", "en*", "((((("], 6
)


def _take_patterns(patterns: list[str], folder: Path) -> bool:
    found = {target.name for target in find_targets(_MODEL, patterns)}
    wanted = {
        name
        for name, module in _MODEL.named_modules()
        if isinstance(module, nn.Linear)
        and any(fnmatchcase(f".{name}", f"*.{pattern}") or name == pattern for pattern in patterns)
    }
    return found == wanted


def _configurations() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "configs").rglob("*.yaml"))]


def _take_configuration(content: bytes, folder: Path) -> bool:
    (folder / "c.yaml").write_bytes(content)
    found = read_yaml(folder / "c.yaml", "--config")
    loader: Any = type("Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": _without_dates()})
    try:
        return repr(found) == repr(yaml.load(content.decode(), Loader=loader))
    except yaml.YAMLError:
        return True  # PyYAML's own parser refuses a tab before a comment, which the one of libyaml allows


def _without_dates() -> dict[str, Any]:
    known = yaml.SafeLoader.yaml_implicit_resolvers.items()
    return {sign: [pair for pair in pairs if not pair[0].endswith("timestamp")] for sign, pairs in known}


_TSV = b"index\tsentence1\tsentence2\tlabel\n" + b"".join(
    f"{i}\tThe {i} \xe9.\tIt is {i}.\t{'not_' * (i % 2)}entailment\n".encode() for i in range(8)
)


def _take_tsv(content: bytes, folder: Path) -> bool:
    (folder / "RTE").mkdir(exist_ok=True)
    (folder / "RTE" / "train.tsv").write_bytes(content)
    columns, _ = read_split(get_task("rte"), folder, "train")
    rows = [line.removesuffix("\r").split("\t") for line in content.decode("utf-8-sig").split("\n") if line.strip()]
    place = {name: rows[0].index(name) for name in ("sentence1", "sentence2", "label")}
    wanted = [[row[place["sentence1"]], row[place["sentence2"]]] for row in rows[1:]]
    texts = [list(pair) for pair in zip(columns["sentence1"], columns["sentence2"], strict=True)]
    return texts == wanted and set(columns["label"]) <= {0, 1}


_CSV = b'text,label\n"a, b",1\n"say ""so""",0\n"two\nlines",1\nNA,0\n'


def _take_csv(content: bytes, folder: Path) -> bool:
    (folder / "t.csv").write_bytes(content)
    table = read_table(folder / "t.csv", "--data.train")
    text = content.decode("utf-8-sig")
    rows = [row for row in csv.reader(io.StringIO(text, newline="\n"), strict=True) if row]
    return list(table.names) == rows[0] and [list(row) for row in table.rows] == rows[1:]


_JSON_LINES = b"".join(json.dumps({"text": f"row {i} \u2028", "label": i % 2}).encode() + b"\n" for i in range(5))


def _take_json_lines(content: bytes, folder: Path) -> bool:
    (folder / "t.jsonl").write_bytes(content)
    table = read_table(folder / "t.jsonl", "--data.train")
    lines = [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    return len(rows) == len(lines) and all(
        repr(row.get(name)) == repr(line.get(name)) for row, line in zip(rows, lines, strict=True) for name in row
    )


_E2E = b'mr,ref\n"name[The Mill], food[French]",The Mill is French.\n"name[Aromi]","Aromi, a pub."\n'
_WEBNLG = json.dumps(
    {
        "entries": [
            {
                "1": {
                    "category": "City",
                    "modifiedtripleset": [{"subject": "A", "property": "b", "object": "C"}],
                    "lexicalisations": [{"comment": "good", "lex": "A is C."}, {"comment": "bad", "lex": "x"}],
                }
            }
        ]
    }
).encode()
_DART = json.dumps([{"tripleset": [["A", "B", "C"]], "annotations": [{"text": "A is C."}]}]).encode()


def _take_entries(parse: Callable[..., Any], content: bytes, folder: Path, *more: str) -> bool:
    entries = parse(content, folder / "data", *more)
    texts = [text for entry in entries for text in (entry.source, *entry.texts)]
    return bool(entries) and all(isinstance(text, str) and _is_text(text) for text in texts)


_OUTPUTS = b'{"output": "A pub.", "references": ["A pub.", "It is a pub."]}\n{"output": "", "references": ["x"]}\n'


def _take_outputs(content: bytes, folder: Path) -> bool:
    (folder / "t.jsonl").write_bytes(content)
    texts = read_hypotheses(folder / "t.jsonl")
    items = read_references(folder / "t.jsonl", "e2e")
    lines = content.decode("utf-8-sig").removesuffix("\n").split("\n")
    return len(texts) == len(items) == len(lines) and all(_is_text(text) for text in texts)


_MESSAGES = b'[{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]'


def _take_messages(text: str, folder: Path) -> bool:
    found = parse_messages(text, "row 1")
    wanted = json.loads(text)
    return all(message["role"] == item["role"] for message, item in zip(found, wanted, strict=True)) and all(
        _is_text(message["content"]) for message in found
    )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Runs:
    """Code that a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (CANARY, "w"))


def _sound_checkpoint() -> dict[str, Any]:
    torch.manual_seed(0)
    backbone: dict[str, str | None] = {"name": "builtin/roberta", "revision": None, "fingerprint": "0" * 16}
    adapter = {"max_rank": 4, "alpha": 16.0, "scaling": "alpha/b", "target_modules": ["query"]}
    weights = {"model.query.factors.lora_A": torch.randn(4, 8), "model.query.factors.lora_B": torch.randn(8, 4)}
    return {"state_dict": weights, "global_step": 10, "epoch": 1, KEY: identity("rte", backbone, adapter)}


def _checkpoints() -> st.SearchStrategy[bytes]:
    sound, hostile = io.BytesIO(), io.BytesIO()
    torch.save(_with_digests(_sound_checkpoint()), sound)
    torch.save({**_sound_checkpoint(), "more": _Runs()}, hostile)
    originals = [sound.getvalue(), sound.getvalue(), sound.getvalue(), hostile.getvalue(), pickle.dumps(_Runs())]
    return damaged(originals, most=2)


def _with_digests(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, DIGESTS: digests_of(content)}


def _take_checkpoint(content: bytes, folder: Path) -> bool:
    path = folder / "c.ckpt"
    path.write_bytes(content)
    found, sound = read_checkpoint(path), _sound_checkpoint()
    if not zipfile.is_zipfile(path):
        return False
    same = all(found.get(name) == sound[name] for name in ("global_step", "epoch", KEY))
    weights = found.get("state_dict", {})
    return (
        same
        and weights.keys() == sound["state_dict"].keys()
        and all(torch.equal(weights[name], tensor) for name, tensor in sound["state_dict"].items())
    )
