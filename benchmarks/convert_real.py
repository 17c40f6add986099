"""A LoRA that plain `peft` and `Trainer` trained on STS-B at every rank: by three cuts, and PEFT's own way.

    python benchmarks/convert_real.py --quick
    python benchmarks/convert_real.py --backbone MODEL --data GLUE [--steps 300] [--rank 8] [--seed 0]

It trains a rsLoRA of queries and values with the task head, saves it as PEFT does, converts the folder with
`dylora.deploy.convert` (by the SVD, by the two-sided cut over training pairs, and in the order learned from there), and
evaluates every rank on the validation pairs, beside the first components of the LoRA as it was trained, and
`peft.convert_to_lora` at that rank.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig, PeftModel, convert_to_lora, get_peft_model
from scipy.stats import pearsonr  # type: ignore[import-untyped]
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from dylora.adapters.export import PeftAdapter
from dylora.adapters.learned_order import STEPS
from dylora.assets import asset_path
from dylora.deploy.convert import convert
from dylora.deploy.load import load
from dylora.deploy.peft_folder import read_peft, write_peft

CALIBRATION = 1000
Pairs = list[tuple[str, str, float]]
Score = Callable[[nn.Module], float]


def read_pairs(path: Path) -> Pairs:
    """The sentences and the score of each row, whose length varies with the columns behind."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["sentence1"], row["sentence2"], float(row["score"])) for row in rows if row["score"]]


def made_up_pairs(count: int) -> Pairs:
    """Sentences that share from none to all of their words, scored by how many."""
    words = ["a", "cheap", "pub", "near", "the", "river", "serves", "good", "food"]
    return [(" ".join(words), " ".join(words[: i % 9 + 1]), 5 * (i % 9) / 8) for i in range(count)]


def base_model(backbone: str) -> Any:  # noqa: ANN401
    """The backbone with a head of one output; the same at each call."""
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=1)


def encoded(tokenizer: Any, pairs: Pairs) -> list[dict[str, Any]]:  # noqa: ANN401
    """Rows for the Trainer."""
    first, second, scores = zip(*pairs, strict=True)
    found = tokenizer(list(first), list(second), truncation=True, max_length=128)
    return [{**{key: found[key][i] for key in found}, "labels": scores[i]} for i in range(len(pairs))]


def train(folder: Path, backbone: str, rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Train with peft and transformers alone, and save as PEFT does."""
    lora = LoraConfig(
        task_type="SEQ_CLS", r=options.rank, lora_alpha=16, use_rslora=True, target_modules=["query", "value"]
    )
    model = get_peft_model(base_model(backbone), lora)
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        max_steps=options.steps,
        per_device_train_batch_size=32,
        learning_rate=1e-3,
        bf16=True,
        seed=options.seed,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    Trainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer).train()
    model.save_pretrained(str(folder / "peft"))


def scorer(tokenizer: Any, pairs: Pairs) -> Score:  # noqa: ANN401
    """Pearson's correlation, times 100, of a model's scores on pairs."""
    first, second, expected = zip(*pairs, strict=True)
    batches = [
        tokenizer(list(first[i : i + 64]), list(second[i : i + 64]), padding=True, truncation=True, return_tensors="pt")
        for i in range(0, len(pairs), 64)
    ]

    @torch.no_grad()
    def score(model: nn.Module) -> float:
        found: list[Tensor] = [model(**batch).logits[:, 0] for batch in batches]
        return 100 * float(pearsonr(torch.cat(found).numpy(), expected).statistic)

    return score


def elastic_scores(folder: Path, score: Score) -> dict[int, float]:
    """Every rank of a converted folder."""
    predictor = load(folder)
    return {rank: score(predictor.set_rank(rank).model) for rank in predictor.ranks}


def peft_score(peft: PeftAdapter, backbone: str, rank: int, lora: dict[str, Tensor], score: Score) -> float:
    """Other factors at another rank, with a factor of 1 and with the LoRA's own head, read by PEFT."""
    others = {name: tensor for name, tensor in peft.state.items() if ".lora_" not in name}
    config = {**peft.config, "r": rank, "lora_alpha": rank, "use_rslora": False}
    with TemporaryDirectory() as folder:
        write_peft(Path(folder), PeftAdapter(config, {**lora, **others}))
        return score(PeftModel.from_pretrained(base_model(backbone), folder).eval())


def first_components(peft: PeftAdapter, rank: int) -> dict[str, Tensor]:
    """The LoRA's own first components, with the scale that they were trained with."""
    factor = peft.config["lora_alpha"] / peft.config["r"] ** 0.5  # of rsLoRA
    lora = {name: tensor for name, tensor in peft.state.items() if ".lora_" in name}
    return {
        name: (tensor[:rank] * factor if ".lora_A." in name else tensor[:, :rank]).contiguous()
        for name, tensor in lora.items()
    }


def converted_by_peft(model: nn.Module, rank: int) -> dict[str, Tensor]:
    """PEFT's own conversion to a rank."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a LoRA already
        state: dict[str, Tensor] = convert_to_lora(model, rank)[1]
    return state


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and how many seconds it took."""
    begin = time.perf_counter()
    return call(), time.perf_counter() - begin


def compare(folder: Path, options: argparse.Namespace, training: Pairs, score: Score) -> dict[str, dict[int, float]]:
    """Every rank in each way; says how long each conversion took."""
    lines = folder / "calibration.tsv"
    lines.write_text("".join(f"{first}\t{second}\n" for first, second, _ in training[:CALIBRATION]), encoding="utf-8")
    peft, found = read_peft(folder / "peft"), {}
    found["PEFT's LoRA, first components"] = {
        rank: peft_score(peft, options.backbone, rank, first_components(peft, rank), score)
        for rank in range(1, options.rank + 1)
    }
    for name, texts, steps in (("svd", None, 0), ("two-sided", lines, 0), ("learned", lines, STEPS)):
        (folder / name).mkdir()
        _, seconds = timed(partial(convert, folder / "peft", folder / name, None, texts, order_steps=steps))
        print(f"convert, {name}: {seconds:.1f} s with loading and writing, for all ranks", flush=True)
        found[f"convert, {name}"] = elastic_scores(folder / name, score)
    model, total = PeftModel.from_pretrained(base_model(options.backbone), folder / "peft"), 0.0
    found["peft.convert_to_lora"] = {}
    for rank in range(1, options.rank + 1):
        state, seconds = timed(partial(converted_by_peft, model, rank))
        total += seconds
        found["peft.convert_to_lora"][rank] = peft_score(peft, options.backbone, rank, state, score)
    print(f"peft.convert_to_lora: {total:.1f} s for {options.rank} ranks, without loading and writing")
    return found


def table(found: dict[str, dict[int, float]]) -> str:
    """A row a way, a column a rank, and the mean."""
    ranks = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(f"rank {rank}" if rank == 1 else str(rank) for rank in ranks) + " | mean |"]
    lines.append("| --- |" + " ---: |" * (len(ranks) + 1))
    for name, values in found.items():
        cells = [f"{value:.1f}" for value in (*values.values(), sum(values.values()) / len(values))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, train, convert, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", help="folder of the base model")
    parser.add_argument("--data", type=Path, help="folder with STS-B/train.tsv and dev.tsv")
    parser.add_argument(
        "--quick", action="store_true", help="the package's tiny backbone and made-up pairs, in seconds"
    )
    parser.add_argument("--steps", type=int, default=300, help="steps of 32 pairs (default: 300)")
    parser.add_argument("--rank", type=int, default=8, help="rank of the LoRA (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of training (default: 0)")
    options = parser.parse_args()
    if options.quick:
        options.backbone, options.steps, options.rank = str(asset_path("roberta")), 2, 2
        training, validation = made_up_pairs(64), made_up_pairs(24)
    elif options.backbone and options.data:
        training, validation = (read_pairs(options.data / "STS-B" / f"{split}.tsv") for split in ("train", "dev"))
    else:
        parser.error("--backbone and --data are needed, or --quick")
    tokenizer = AutoTokenizer.from_pretrained(options.backbone)
    with TemporaryDirectory() as place:
        _, seconds = timed(lambda: train(Path(place), options.backbone, encoded(tokenizer, training), options))
        print(
            f"trained {options.steps} steps with peft and Trainer in {seconds:.0f} s, seed {options.seed}", flush=True
        )
        found = compare(Path(place), options, training, scorer(tokenizer, validation))
    print(f"Pearson, {len(validation)} validation pairs\n\n{table(found)}")


if __name__ == "__main__":
    main()
