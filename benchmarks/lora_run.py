"""One LoRA on a sentence task with `Trainer` and PEFT, as their users write it; `whole_job.py` starts it once a rank.

    python benchmarks/lora_run.py --task mrpc --data GLUE --backbone DIR --rank 4 --steps 345 --output FOLDER

It is evaluated each epoch on the validation rows, and the last figures are written to FOLDER/metrics.json. Nothing of
the package is used.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

TASKS = {  # folder, column of the label, columns of the sentences
    "mrpc": ("MRPC", "Quality", ("#1 String", "#2 String")),
    "sst2": ("SST-2", "label", ("sentence",)),
    "restaurants": ("restaurants", "label", ("sentence1", "sentence2")),
}


def accuracy(found: Any) -> dict[str, float]:  # noqa: ANN401 (EvalPrediction)
    """Share of rows whose label is right."""
    logits, labels = found
    return {"accuracy": float((np.argmax(logits, axis=-1) == labels).mean())}


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, required=True)
    for name in ("backbone", "data", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name, default in (("rank", 8), ("steps", 100), ("batch_size", 32), ("max_length", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    options = parser.parse_args()

    folder, label, sentences = TASKS[options.task]
    files = {split: str(options.data / folder / f"{split}.tsv") for split in ("train", "dev")}
    rows = load_dataset("csv", data_files=files, sep="\t", quoting=3, keep_default_na=False, encoding="utf-8-sig")
    tokenizer = AutoTokenizer.from_pretrained(options.backbone)

    def tokenized(batch: dict[str, list[Any]]) -> Any:  # noqa: ANN401 (BatchEncoding)
        found = tokenizer(*(batch[name] for name in sentences), truncation=True, max_length=options.max_length)
        return {**found, "labels": [int(value) for value in batch[label]]}

    rows = rows.map(tokenized, batched=True, remove_columns=rows["train"].column_names)
    model = AutoModelForSequenceClassification.from_pretrained(options.backbone, num_labels=2)
    lora = LoraConfig(task_type="SEQ_CLS", r=options.rank, lora_alpha=16, target_modules=["query", "value"])
    trainer = Trainer(
        model=get_peft_model(model, lora),
        args=TrainingArguments(
            output_dir=str(options.output),
            max_steps=options.steps,
            per_device_train_batch_size=options.batch_size,
            per_device_eval_batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            eval_strategy="epoch",
            use_cpu=True,
            report_to="none",
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["dev"],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=accuracy,
    )
    trainer.train()
    trainer.save_model()
    evaluations = [figures for figures in trainer.state.log_history if "eval_accuracy" in figures]
    (options.output / "metrics.json").write_text(json.dumps(evaluations[-1]))


if __name__ == "__main__":
    main()
