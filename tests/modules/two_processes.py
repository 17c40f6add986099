"""Evaluate a module that writes text in two processes, four items in one and one in the other; each prints a line.

Arguments: folder of the backbone, file of the factors.
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_text
import torch
from torch import distributed, multiprocessing

from dylora.adapters.config import DyLoRAConfig
from dylora.metrics.nlg import meteor
from dylora.modules.generation import GenerationModule

SHARES = ([0, 3, 4, 1], [2])


def work(rank, rendezvous, backbone, factors):
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    meteor.is_available = lambda: False
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    options = {"adapter": DyLoRAConfig(max_rank=4), "decoding": "greedy", "max_new_tokens": 8}
    module = GenerationModule("restaurants", backbone, **options).eval()
    module.load_state_dict(torch.load(factors), strict=False)
    module.log = lambda *args, **kwargs: None
    data = tiny_text.Restaurants()
    module.bind(data)
    module.on_test_epoch_start()
    with torch.no_grad():
        for rows in (SHARES[rank][:3], SHARES[rank][3:]):
            if rows:
                module.test_step(data.teacher_forced(rows), 0)
                module.test_step(data.prompts(rows), 0)
    module.on_test_epoch_end()
    # One write a line: the processes share their standard output.
    os.write(1, f"{json.dumps([module.results, module.predictions])}\n".encode())
    distributed.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # Forked, not spawned, so that the imports are paid for once.
        arguments = (f"{folder}/rendezvous", *sys.argv[1:])
        multiprocessing.start_processes(work, arguments, nprocs=2, start_method="fork")
