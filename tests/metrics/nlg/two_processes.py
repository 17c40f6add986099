"""Score texts in two processes; each prints what it computes, as a line of JSON.

Argument: a file with [hypotheses, references, sizes]; of every size the first items are scored.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from dylora.metrics.nlg import CIDEr, CorpusTextMetric, PyterTER, e2e_scores, meteor


def work(rank, rendezvous, file):
    torch.set_num_threads(1)
    meteor.is_available = lambda: False
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    hypotheses, references, sizes = json.loads(Path(file).read_text(encoding="utf-8"))
    figures = []
    for size in sizes:
        metrics = [CIDEr(), PyterTER(), CorpusTextMetric(e2e_scores)]
        for metric in metrics:
            for item in range(rank, size, 2):
                metric.update([hypotheses[item]], [references[item]])
        figures.append([metric.compute() for metric in metrics])
    # One write a line: the processes share their standard output.
    os.write(1, f"{json.dumps(figures)}\n".encode())
    distributed.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # Forked, not spawned, so that the imports are paid for once.
        multiprocessing.start_processes(work, (f"{folder}/rendezvous", sys.argv[1]), nprocs=2, start_method="fork")
