"""Peak memory of evaluating a language model at every rank, beside that of a training step on the same batch.

    python benchmarks/lm_memory.py

A Llama of random weights, each case in a process of its own; what the batch needs above the loaded model. On an
accelerator it is what torch has allocated there, on a CPU the process's peak as Linux counts it. The last line is the
largest ratio.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import timing
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from dylora.adapters.config import DyLoRAConfig
from dylora.cli.quiet import quiet
from dylora.modules.generation import GenerationModule

_HIGH_WATER = Path("/proc/self/clear_refs")  # writing 5 there sets the peak of the process to what it has now
OPTIONS: dict[str, dict[str, Any]] = {
    "training": {},
    "training, bf16": {"backbone_dtype": "bf16"},
    "training, checkpointing": {"gradient_checkpointing": True},
    "evaluation": {},
    "evaluation, bf16": {"backbone_dtype": "bf16"},
}


def save_llama(folder: str, vocabulary: int, width: int, layers: int) -> None:
    """Write a Llama of random weights."""
    heads = {"num_attention_heads": width // 64, "num_key_value_heads": max(1, width // 128)}
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers, **heads
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def measure(folder: str, way: str, rows: int, tokens: int) -> dict[str, float]:
    """MiB of the model's weights, and what one batch needs above them at its peak."""
    quiet()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = GenerationModule(backbone=folder, adapter=DyLoRAConfig(max_rank=8), **OPTIONS[way]).to(device)
    vocabulary = module.model.config.get_text_config().vocab_size
    batches = []
    for size in (8, tokens):  # the first batch finds out what the model can do, at a size that does not count
        ids = torch.randint(0, vocabulary, (rows, size), device=device)
        batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids})
    _run(module, way, batches[0])
    before = _begin(device)
    _run(module, way, batches[1])
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    return {"weights": weights / 2**20, "peak": (_peak(device) - before) / 2**20}


def _run(module: GenerationModule, way: str, batch: dict[str, torch.Tensor]) -> None:
    if way.startswith("training"):
        module.train()
        module.losses_of(batch, 1)[0].sum().backward()  # type: ignore[no-untyped-call]
    else:
        with torch.inference_mode():
            for _ in module.eval().outputs_at_ranks(batch):
                pass


def _begin(device: str) -> int:
    """Bytes in use; peaks count from here."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    _HIGH_WATER.write_text("5")
    return _status("VmRSS")


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def in_a_process(folder: str, way: str, rows: int, tokens: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    arguments = ["--case", folder, way, "--rows", str(rows), "--tokens", str(tokens)]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Parse the command line, measure, print."""
    options = timing.parser(__doc__, 1)
    options.add_argument("--rows", type=int, default=16, help="rows of the batch (default: 16)")
    options.add_argument("--tokens", type=int, default=128, help="tokens of a row, all with a label (default: 128)")
    options.add_argument("--width", type=int, default=512, help="width of the model (default: 512)")
    options.add_argument("--layers", type=int, default=8, help="layers of the model (default: 8)")
    options.add_argument("--vocabulary", type=int, nargs="+", default=[50_000, 128_000], help="sizes of it")
    options.add_argument("--case", nargs=2, help="a folder and a way: measure this one alone, in this process")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.case:
        print(json.dumps(measure(*chosen.case, chosen.rows, chosen.tokens)))
        return
    sizes, width, layers, tokens = chosen.vocabulary, chosen.width, chosen.layers, chosen.tokens
    if chosen.quick:
        sizes, width, layers, tokens = [5_000], 64, 2, 64
    print(f"{timing.machine()}; {chosen.rows} x {tokens} tokens, {layers} layers of {width}; MiB")
    print(f"{'vocabulary':>10}  {'':24}{'weights':>9}{'peak above':>12}")
    ratios = []
    for vocabulary in sizes:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            save_llama(folder, vocabulary, width, layers)
            for way in OPTIONS:
                found[way] = in_a_process(folder, way, chosen.rows, tokens)
                print(f"{vocabulary:>10}  {way:24}{found[way]['weights']:9.0f}{found[way]['peak']:12.0f}")
        ratios.append(found["evaluation"]["peak"] / found["training"]["peak"])
    timing.show_ratio(max(ratios))


if __name__ == "__main__":
    main()
