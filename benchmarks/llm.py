"""Fine-tuning a causal language model: time per token of a training loop here, beside transformers' Trainer with PEFT.

    python benchmarks/llm.py
    python benchmarks/llm.py --backbone DIR --gguf_file NAME --data FILE

The same rows in the same batches, rank 8 on q_proj and v_proj, AdamW; padded and packed (no padding, rows that do not
see each other). Whole loops in turns, model and data loaded before. Time is per token of the rows: padding counts as
time alone. Without `--backbone` it is a Llama of random weights; without `--data`, a CSV file of E2E (`mr`, `ref`),
rows are random tokens of such lengths. The last line compares bf16 backbones, padded.
"""

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timing
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)
from transformers import Trainer as TransformersTrainer

from dylora.adapters.config import DyLoRAConfig
from dylora.backbones.load import load_generator
from dylora.backbones.tokenizers import tokenizer_for
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.quiet import quiet
from dylora.modules.generation import GenerationModule

Batch = dict[str, torch.Tensor]
Row = tuple[list[int], list[int]]  # prompt, text
RANK, IGNORED, TARGETS = 8, -100, ("q_proj", "v_proj")


def random_rows(count: int, vocabulary: int) -> list[Row]:
    """Rows of random tokens, as long as those of E2E."""
    draw = torch.Generator().manual_seed(0)

    def tokens(least: int, most: int) -> list[int]:
        length = int(torch.randint(least, most, (1,), generator=draw))
        return torch.randint(3, vocabulary, (length,), generator=draw).tolist()

    return [(tokens(25, 60), tokens(15, 50)) for _ in range(count)]


def e2e_rows(count: int, file: str, folder: str) -> list[Row]:
    """The first rows of a CSV file of E2E, tokenised."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    with Path(file).open(encoding="utf-8", newline="") as lines:
        table = [row for row, _ in zip(csv.DictReader(lines), range(count), strict=False)]
    return [(tokenizer(row["mr"]).input_ids, tokenizer(row["ref"]).input_ids) for row in table]


def padded(rows: Sequence[Row]) -> Batch:
    """A batch of rows, padded on the right."""
    width = max(len(prompt) + len(text) for prompt, text in rows)
    filled = [(prompt + text, [IGNORED] * len(prompt) + text, width - len(prompt + text)) for prompt, text in rows]
    return {
        "input_ids": torch.tensor([ids + [0] * room for ids, _, room in filled]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * room for ids, _, room in filled]),
        "labels": torch.tensor([labels + [IGNORED] * room for _, labels, room in filled]),
    }


def packed(rows: Sequence[Row]) -> Batch:
    """The rows one behind another in one; the first token of each has no label, since none comes before it."""
    return {
        "input_ids": torch.tensor([[token for prompt, text in rows for token in prompt + text]]),
        "position_ids": torch.tensor([[place for prompt, text in rows for place in range(len(prompt + text))]]),
        "labels": torch.tensor([[label for prompt, text in rows for label in [IGNORED] * len(prompt) + text]]),
    }


class Data(LightningDataModule):
    """Batches that are there already."""

    tokenizer, end_ids = None, (0,)

    def __init__(self, batches: Sequence[Batch]) -> None:
        super().__init__()
        self.batches = batches

    def items(self, split: str) -> Sequence[Any]:
        """None: nothing is generated."""
        return ()

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches as they are."""
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]


class Clock:
    """Seconds of processor time between begin and end of a training."""

    begin = seconds = 0.0

    def start(self) -> None:
        """At its first step."""
        self.begin = time.process_time()

    def stop(self) -> None:
        """Behind its last step."""
        self.seconds = time.process_time() - self.begin


class OurClock(Clock, Callback):
    """For Lightning."""

    def on_train_start(self, *_: Any) -> None:  # noqa: ANN401
        """Start."""
        self.start()

    def on_train_end(self, *_: Any) -> None:  # noqa: ANN401
        """Stop."""
        self.stop()


class TheirClock(Clock, TrainerCallback):
    """For transformers."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Start."""
        self.start()

    def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Stop."""
        self.stop()


def ours(precision: str, options: dict[str, Any], batches: Sequence[Batch]) -> Callable[[], float]:
    """A training here, with a rank for each step."""
    adapter = DyLoRAConfig(max_rank=RANK, alpha=16, target_modules=TARGETS)
    module = GenerationModule(adapter=adapter, label_smoothing=0.0, learning_rate=1e-4, **options)

    def run() -> float:
        clock = OurClock()
        off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        trainer = Trainer(
            max_epochs=1,
            precision=precision,  # type: ignore[arg-type]
            callbacks=[RankSamplingCallback("dylora"), clock],
            limit_val_batches=0,
            default_root_dir=tempfile.gettempdir(),
            **dict.fromkeys(off, False),  # type: ignore[arg-type]
        )
        trainer.fit(module, Data(batches))
        return clock.seconds

    return run


def theirs(mixed: bool, folder: str, dtype: torch.dtype, batches: Sequence[Batch]) -> Callable[[], float]:
    """The same with transformers' Trainer and PEFT, their defaults but for what makes the work the same."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=16, target_modules=list(TARGETS)))

    def run() -> float:
        clock = TheirClock()
        arguments = TrainingArguments(
            tempfile.gettempdir(),
            per_device_train_batch_size=1,  # each of them is a whole batch
            num_train_epochs=1,
            learning_rate=1e-4,
            bf16=mixed,
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = TransformersTrainer(
            model, arguments, train_dataset=list(batches), data_collator=lambda rows: rows[0], callbacks=[clock]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return clock.seconds

    return run


def ways(folder: str, batches: Sequence[Batch], few: bool) -> dict[str, Callable[[], Callable[[], float]]]:
    """Makers of all ways of training on batches; of the ones in bf16 alone, `few`."""
    place = {"backbone": folder}
    half = {**place, "backbone_dtype": "bf16"}
    low = torch.bfloat16
    found: dict[str, Callable[[], Callable[[], float]]] = {
        "dylora, bf16": partial(ours, "bf16-mixed", half, batches),
        "Trainer + PEFT, bf16": partial(theirs, True, folder, low, batches),
    }
    if few:
        return found
    return {
        "dylora, fp32": partial(ours, "32-true", place, batches),
        "Trainer + PEFT, fp32": partial(theirs, False, folder, torch.float32, batches),
        "dylora, fp32 under autocast": partial(ours, "bf16-mixed", place, batches),
        "Trainer + PEFT, fp32 under autocast": partial(theirs, True, folder, torch.float32, batches),
        **found,
        "dylora, bf16 without autocast": partial(ours, "32-true", half, batches),
        "dylora, bf16, checkpointing": partial(ours, "bf16-mixed", {**half, "gradient_checkpointing": True}, batches),
    }


def measured(makers: dict[str, Callable[[], Callable[[], float]]], tokens: int, turns: int) -> dict[str, float]:
    """Median microseconds per token of each way, in turns, after one that does not count."""
    runs = {name: make() for name, make in makers.items()}
    times = [{name: run() for name, run in runs.items()} for _ in range(turns + 1)][1:]
    return {name: 1e6 / tokens * statistics.median(each[name] for each in times) for name in runs}


def save_llama(folder: str, quick: bool) -> None:
    """Write a Llama of random weights, small, with the vocabulary of SmolLM2."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 500}
    if not quick:
        sizes = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 6, "vocab_size": 49152}
    heads = {"num_attention_heads": 8 if quick else 9, "num_key_value_heads": 4 if quick else 3}
    LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=True)).save_pretrained(folder)


def save_plain(source: str, gguf_file: str, folder: str) -> None:
    """Write what a GGUF file holds as plain weights: the Trainer refuses a model that was read from one."""
    model: Any = load_generator(source, gguf_file)
    del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(folder)
    tokenizer_for(source, gguf_file).save_pretrained(folder)


def compare(chosen: argparse.Namespace, folder: str) -> float:
    """Print the tables, and give the ratio."""
    count = chosen.rows * chosen.steps
    vocabulary = 500 if chosen.quick else 30_000
    rows = e2e_rows(count, chosen.data, folder) if chosen.data else random_rows(count, vocabulary)
    parts = [rows[start : start + chosen.rows] for start in range(0, count, chosen.rows)]
    tokens = sum(len(prompt) + len(text) for prompt, text in rows)
    print(f"{timing.machine()}; {chosen.steps} steps of {chosen.rows} rows, {tokens} tokens; microseconds per token")
    figures: dict[str, float] = {}
    for form, make in (("padded", padded), ("packed", packed)):
        batches = [make(part) for part in parts]
        places = sum(batch["input_ids"].numel() for batch in batches)
        print(f"{form}: {places} places")
        found = measured(ways(folder, batches, chosen.few), tokens, chosen.repetitions)
        for name, value in found.items():
            print(f"  {name:38}{value:12.1f}")
        figures |= {f"{name}, {form}": value for name, value in found.items()}
    return figures["dylora, bf16, padded"] / figures["Trainer + PEFT, bf16, padded"]


def main() -> None:
    """Parse the command line, measure, print."""
    options = timing.parser(__doc__, 3)
    options.add_argument("--backbone", help="folder of a causal language model with q_proj and v_proj")
    options.add_argument("--gguf_file", help="name of a GGUF file in it, to be read in place of its other weights")
    options.add_argument("--data", help="CSV file with the columns mr and ref, such as E2E's trainset.csv")
    options.add_argument("--rows", type=int, default=8, help="rows of a batch (default: 8)")
    options.add_argument("--steps", type=int, default=4, help="steps of a training (default: 4)")
    options.add_argument("--few", action="store_true", help="backbones in bf16 under autocast alone")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    quiet()
    if chosen.quick:
        chosen.steps, chosen.repetitions = 2, 1
    with tempfile.TemporaryDirectory() as folder:
        if chosen.gguf_file:
            save_plain(chosen.backbone, chosen.gguf_file, folder)
        elif chosen.backbone is None:
            save_llama(folder, chosen.quick)
        ratio = compare(chosen, folder if chosen.gguf_file else chosen.backbone or folder)
    timing.show_ratio(ratio)


if __name__ == "__main__":
    main()
