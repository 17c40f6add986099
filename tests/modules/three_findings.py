"""Three processes that found different things share them; each prints what it has then. Argument: an empty folder."""

import json
import os
import sys
import warnings

from torch import distributed, multiprocessing

from dylora.modules.all_processes import share_findings

FOUND = ({}, {"forward": True}, {"forward": False, "generation": True})


def work(rank, folder):
    warnings.simplefilter("error")
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=3)
    found, nothing = dict(FOUND[rank]), {}
    share_findings(found)
    share_findings(nothing)
    # One write a line: the processes share their standard output.
    os.write(1, f"{json.dumps([found, nothing], sort_keys=True)}\n".encode())
    distributed.destroy_process_group()


if __name__ == "__main__":
    multiprocessing.start_processes(work, (sys.argv[1],), nprocs=3, start_method="fork")
