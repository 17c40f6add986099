"""QNLI without its training file: 4,463 training and 1,000 validation pairs of the official validation file.

python experiments/qnli_from_dev.py GLUE/QNLI/dev.tsv OUTPUT/QNLI
"""

import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    head, *rows = source.read_text(encoding="utf-8").rstrip("\n").split("\n")
    order = np.random.RandomState(0).permutation(len(rows))
    folder.mkdir(parents=True)
    for name, places in (("dev", order[:1000]), ("train", order[1000:])):
        lines = [head, *(rows[place] for place in sorted(places))]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
