"""Make chat messages of E2E, as JSON Lines: a record is asked about, its text is the answer.

    python experiments/e2e_chat.py --data DIR --output DIR

Writes `train.jsonl` (rows of `trainset.csv`, chosen by the seed), `validation.jsonl` and `test.jsonl` (all texts of the
first records of `devset.csv` and `testset_w_refs.csv`).
"""

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path

from dylora.data.sources import e2e
from dylora.data.sources.text_files import read_bytes
from dylora.data.sources.text_items import group, pairs

ASKED = "Write one sentence about this restaurant: "


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the official CSV files")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to; made if missing")
    parser.add_argument("--train_rows", type=int, default=400)
    parser.add_argument("--validation_records", type=int, default=8)
    parser.add_argument("--test_records", type=int, default=24)
    parser.add_argument("--seed", type=int, default=10)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    entries = {split: _entries(options.data / name) for split, name in _FILES.items()}
    chosen = random.Random(options.seed).sample(pairs(entries["train"]), options.train_rows)
    _write(options.output / "train.jsonl", chosen)
    for split, count in (("validation", options.validation_records), ("test", options.test_records)):
        items = group(entries[split])[:count]
        _write(options.output / f"{split}.jsonl", [(item.source, text) for item in items for text in item.references])


_FILES = {"train": "trainset.csv", "validation": "devset.csv", "test": "testset_w_refs.csv"}


def _entries(path: Path) -> list[e2e.Entry]:
    return e2e.parse(read_bytes(path), path, "official")


def _write(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    lines = (
        {"messages": [{"role": "user", "content": ASKED + source}, {"role": "assistant", "content": text}]}
        for source, text in rows
    )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
