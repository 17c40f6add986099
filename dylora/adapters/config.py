"""What an adapter is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dylora.adapters.functional import SCALINGS, Scaling
from dylora.adapters.ranks import RankRange
from dylora.errors import InputError

Init = Literal["gaussian", "kaiming"]
_LARGEST_ALPHA = 1e6


@dataclass(frozen=True)
class DyLoRAConfig:
    """Shape, scaling and place of the adapters.

    Attributes:
        max_rank: Largest rank, allocated and trained (the paper's r_max), at most 10000.
        min_rank: Smallest rank that is trained and evaluated (r_min).
        rank_step: Distance between two ranks of the range.
        alpha: LoRA's alpha, the numerator of the scaling, above 0 and at most 1e6.
        scaling: `alpha/max_rank` (equal at every rank; what docs/results.md found best), `alpha/b` (the paper, Eq. 7)
            or `alpha/sqrt(b*max_rank)`.
        dropout: Probability of dropout on the adapter's input, from 0 up to but without 1.
        init: Start of `lora_A`; `gaussian` as the paper says, `kaiming` (uniform, a = sqrt(5)) as the official code
            does. Both have variance 1 / (3 d_in). `lora_B` starts at zero.
        target_modules: Names of the modules to adapt: the last parts of a module's dotted name, with `*` and `?` as
            wildcards; `c_attn[q,v]` adapts only the queries and values of a fused projection. They never match inside
            the task head. Left out, the query and value projections of every attention.

    Raises:
        InputError: If a value is outside what is written above.
    """

    max_rank: int = 8
    min_rank: int = 1
    rank_step: int = 1
    alpha: float = 16.0
    scaling: Scaling = "alpha/max_rank"
    dropout: float = 0.0
    init: Init = "gaussian"
    target_modules: Sequence[str] | None = None
    ranks: RankRange = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", RankRange(self.min_rank, self.max_rank, self.rank_step))
        if not 0 < self.alpha <= _LARGEST_ALPHA:
            allowed = f"above 0 and at most {_LARGEST_ALPHA:g}"
            raise InputError("alpha", allowed, self.alpha, "16 is the default; 0 would switch the adapter off")
        if self.scaling not in SCALINGS:
            raise InputError("scaling", "one of " + ", ".join(SCALINGS), repr(self.scaling), "choose one of them")
        if not 0 <= self.dropout < 1:
            raise InputError("dropout", "from 0 up to but without 1", self.dropout, "0 switches it off")
        if self.init not in ("gaussian", "kaiming"):
            raise InputError("init", "gaussian or kaiming", repr(self.init), "choose one of them")
