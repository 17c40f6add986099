"""What needs a fresh process: the imports of the adapters, and torch.compile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dylora


def run_python(code):
    environment = {**os.environ, "PYTHONPATH": str(Path(dylora.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return run.stdout.strip()


def test_adapters_and_ranks_need_no_lightning():
    code = (
        "import sys, dylora.adapters.adapt, dylora.adapters.ranks\n"
        "print([name for name in sys.modules if 'lightning' in name.partition('.')[0]])"
    )
    assert run_python(code) == "[]"


COMPILED = """
import torch
from torch import nn
from dylora.adapters.active_rank import set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig

torch.manual_seed(0)
model = adapt(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), DyLoRAConfig(4, target_modules=["0", "2"]))
parameters = [p for name, p in model.named_parameters() if "lora_" in name]
for p in parameters:
    nn.init.normal_(p)
x = torch.randn(3, 6)
compiled = torch.compile(model, backend="{backend}", fullgraph=True)
for rank in {ranks}:
    set_rank(model, rank)
    with torch.set_grad_enabled({grad}):
        fast, slow = compiled(x), model(x)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    if {grad}:
        fast, slow = (torch.autograd.grad(out.square().sum(), parameters) for out in (fast, slow))
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-3)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "ranks", "grad"),
    [("aot_eager", "(1, 3, torch.tensor([2, 4, 1]))", True), ("inductor", "(1, 3)", False)],
)
def test_a_compiled_model_equals_the_eager_one(backend, ranks, grad):
    """In a process of its own: torch.compile cannot trace the run-time shape checks of the tests."""
    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    assert run_python(COMPILED.format(backend=backend, ranks=ranks, grad=grad)).endswith("equal")
