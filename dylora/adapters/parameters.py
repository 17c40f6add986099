"""What of a model was trained, and how many parameters it has."""

from dataclasses import dataclass

from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.head import task_head
from dylora.adapters.running_statistics import trained_buffers
from dylora.errors import InputError


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """What was trained, by its name in the model, detached and not copied: adapters, head, running statistics of it."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return parameters | trained_buffers(model)


@dataclass(frozen=True)
class ParameterReport:
    """How many parameters a model has.

    Attributes:
        adapter: Those of the adapters, up to the rank that was asked for.
        head: Those of the trained task head.
        total: All of them, the adapters counted up to that rank.
        backbone: The trained ones of the backbone itself; none beside adapters.
    """

    adapter: int
    head: int
    total: int
    backbone: int = 0

    @property
    def trainable(self) -> int:
        """Adapter, head and backbone together."""
        return self.adapter + self.head + self.backbone

    def __str__(self) -> str:
        share = self.trainable / self.total
        first = f"{self.backbone:,} backbone" if self.backbone else f"{self.adapter:,} adapter"
        parts = f"{first}, {self.head:,} head"
        return f"{self.trainable:,} trainable of {self.total:,} ({share:.2%}): {parts}"


def count_parameters(model: nn.Module, rank: int | None = None) -> ParameterReport:
    """Count parameters with the adapters cut to a rank (None: `max_rank`), as the paper's tables do.

    Adapters that are merged count nothing, and neither do those that `unload` took out.

    Raises:
        InputError: If the rank is outside 1 to `max_rank`, or given for a model without ranks.
    """
    factors = [module for module in model.modules() if isinstance(module, LowRankFactors)]
    allocated = sum(p.numel() for f in factors for p in f.parameters())
    adapter = _adapter_parameters(model, allocated, rank)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    head = trained - allocated if factors else sum(p.numel() for p in task_head(model) if p.requires_grad)
    backbone = trained - allocated - head
    return ParameterReport(adapter, head, total - allocated + adapter, backbone)


def _adapter_parameters(model: nn.Module, allocated: int, rank: int | None) -> int:
    if not allocated and rank is None:
        return 0
    state = rank_state(model)
    max_rank = state.config.max_rank
    if rank is not None and not 1 <= rank <= max_rank:
        raise InputError("rank", f"from 1 to max_rank {max_rank}", rank, "choose a rank inside the range")
    return 0 if state.merged_rank is not None else allocated // max_rank * (rank or max_rank)
