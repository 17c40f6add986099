"""In-place distillation: what lower ranks learn from the largest one, in the same step."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from dylora.errors import InputError

DistillationLoss = Literal["kl", "mse"]


@dataclass(frozen=True)
class Distillation:
    """Whether rows at lower ranks learn from what `max_rank` gives for them.

    It costs one more forward, without gradient, at every step that trains a row below `max_rank`.

    Attributes:
        weight: Its share in the loss of a row below `max_rank`, from 0 (off) to 1 (instead of the labels).
        loss: `kl`, the divergence from the class probabilities of `max_rank`, or `mse`, the squared distance to its
            logits or score; regression takes `mse` alone.

    Raises:
        InputError: If the weight or the name is another.
    """

    weight: float = 0.0
    loss: DistillationLoss = "kl"

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise InputError("rank_sampling.distillation.weight", "from 0 to 1", self.weight, "0 switches it off")
        if self.loss not in ("kl", "mse"):
            raise InputError("rank_sampling.distillation.loss", "kl or mse", repr(self.loss), "choose one of them")


def distillation_losses(student: Tensor, teacher: Tensor, loss: DistillationLoss) -> Tensor:
    """The distance of each output to the teacher's, (places,), in fp32.

    `kl`: `sum over classes of p_teacher (log p_teacher - log p_student)`. `mse`: the mean square of the difference.

    Args:
        student: (places, classes) logits, or (places,) scores for `mse`.
        teacher: The same shape; no gradient reaches it.
        loss: Which of the two.
    """
    student, teacher = student.float(), teacher.detach().float()
    if loss == "kl":
        return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    return (student - teacher).square().flatten(1).mean(1) if student.dim() > 1 else (student - teacher).square()
