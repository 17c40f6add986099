"""What loading costs: the share of a training step that waits for its batch, and rows tokenised in a second.

    python benchmarks/data.py
    python benchmarks/data.py --glue DIR --steps 100

Rows are those of MRPC where the GLUE folder is there, else pairs of the embedded set. Waiting and training are those of
Lightning's own profile of `fit`, by the clock: what a worker prepares meanwhile costs a step nothing. Backbones are the
package's tiny one and one of MiniLM-L6's shape with random weights. The last line is the share with that and no worker.
"Before" pads with the tokenizer's own `pad`.

Tokenising is timed by the clock with one thread, with all of the tokenizer's own, and in as many processes.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timing
import torch
from datasets import Dataset, concatenate_datasets, disable_progress_bars
from lightning.pytorch import Trainer
from lightning.pytorch.profilers import SimpleProfiler
from transformers import AutoConfig, AutoModelForSequenceClassification, DataCollatorWithPadding

from dylora.adapters.config import DyLoRAConfig
from dylora.assets import resolve_backbone
from dylora.backbones.tokenizers import tokenizer_for
from dylora.cli.quiet import quiet
from dylora.data.base import Part
from dylora.data.glue import GLUEDataModule
from dylora.data.sentences import sentence_rows
from dylora.modules.classification import SequenceClassificationModule

TINY = "builtin/roberta"
WAITING, TRAINING = "[_TrainingEpochLoop].train_dataloader_next", "run_training_batch"
THREADS = "TOKENIZERS_PARALLELISM"


class PaddedByTokenizer(GLUEDataModule):
    """Batches as they were padded before."""

    def collator(self, part: Part) -> Any:  # noqa: ANN401
        """The tokenizer's own padding."""
        return DataCollatorWithPadding(self.tokenizer)


def minilm_shape(folder: Path) -> str:
    """A folder of a RoBERTa of MiniLM-L6's shape with random weights."""
    shape = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
    config = AutoConfig.from_pretrained(resolve_backbone(TINY), **shape)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer_for(TINY).save_pretrained(folder)
    return str(folder)


def waiting_share(options: argparse.Namespace, kind: type[GLUEDataModule], backbone: str, workers: int) -> list[float]:
    """Milliseconds of waiting in a step, milliseconds of the step behind it, and the share of the first in both."""
    name, folder = ("mrpc", options.glue) if options.glue else ("restaurants", None)
    data = kind(name, folder, backbone=backbone, cache_dir=options.cache, num_workers=workers, max_length=128)
    module = SequenceClassificationModule(backbone=backbone, task=name, adapter=DyLoRAConfig(max_rank=8))
    profiler = SimpleProfiler()
    trainer = Trainer(
        max_steps=options.steps,
        profiler=profiler,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=options.cache,
    )
    trainer.fit(module, data)
    waiting, training = (1e3 * statistics.median(profiler.recorded_durations[name]) for name in (WAITING, TRAINING))
    return [waiting, training, waiting / (waiting + training)]


def tokenising(rows: Dataset, fields: tuple[str, ...]) -> dict[str, Callable[[], object]]:
    """The ways of tokenising rows."""
    tokenizer = tokenizer_for(TINY)

    def by_threads(value: str) -> Callable[[], object]:
        def run() -> Dataset:
            with parallel(value):
                return sentence_rows(rows, fields, tokenizer, 128)

        return run

    def encode(batch: Mapping[str, list[str]]) -> dict[str, Any]:
        return dict(tokenizer(*(batch[field] for field in fields), truncation=True, max_length=128))

    def by_processes() -> Dataset:
        with parallel("false"), tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "rows.arrow")
            return rows.map(encode, batched=True, num_proc=os.cpu_count(), cache_file_name=file)

    return {"one thread": by_threads("false"), "all threads": by_threads("true"), "processes": by_processes}


@contextmanager
def parallel(value: str) -> Iterator[None]:
    """Whether the tokenizer may use its threads."""
    os.environ[THREADS] = value
    try:
        yield
    finally:
        del os.environ[THREADS]


def seconds(ways: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each way by the clock, in turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, run in ways.items():
            begin = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Parse the command line, measure, print."""
    parser = timing.parser(__doc__, repetitions=3)
    parser.add_argument("--glue", help="GLUE folder (default: ../shared/data/glue where it is there)")
    parser.add_argument("--steps", type=int, default=20, help="steps of a run (default: 20)")
    options = parser.parse_args()
    usual = Path("../shared/data/glue")
    options.glue = None if options.quick else options.glue or (str(usual) if usual.is_dir() else None)
    options.steps = 3 if options.quick else options.steps
    torch.set_num_threads(options.threads)
    quiet()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as options.cache:
        backbones = {"tiny": TINY, "MiniLM-L6": minilm_shape(Path(options.cache) / "minilm")}
        kinds = {"before": PaddedByTokenizer, "now": GLUEDataModule}
        print(f"{timing.machine()}, {os.cpu_count()} cores; {options.glue or 'embedded'}, batches of 32")
        print(f"{'backbone':10} {'padding':8} {'workers':>7} {'waits ms':>9} {'step ms':>9} {'share':>7}")
        shares = {}
        for backbone, kind, workers in itertools.product(backbones, kinds, (0,) if options.quick else (0, 2)):
            found = waiting_share(options, kinds[kind], backbones[backbone], workers)
            print(f"{backbone:10} {kind:8} {workers:7} {found[0]:9.2f} {found[1]:9.2f} {found[2]:7.4f}")
            shares[backbone, kind, workers] = found[2]
    data = GLUEDataModule("mrpc" if options.glue else "restaurants", options.glue)
    rows = data.source.rows("train")
    rows = concatenate_datasets([rows] * (1 if options.quick else 6))
    for name, taken in seconds(tokenising(rows, data.text_fields), 1 if options.quick else options.repetitions).items():
        print(f"tokenising, {name:12} {len(rows) / taken:10.0f} rows/s")
    timing.show_ratio(shares["MiniLM-L6", "now", 0])


if __name__ == "__main__":
    main()
