"""Optimizers and schedule: torch's AdamW, Algorithm 1 to the bit, and a linear warm-up."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, cast, overload

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from dylora.adapters.factors import LowRankFactors
from dylora.adapters.row_blocks import RowBlock, blocks_of
from dylora.errors import InputError

OptimizerName = Literal["adamw", "row_exact_adamw"]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in groups for an optimizer.

    Weight decay is for matrices only, not for biases and norms. The factors of the adapters come in two groups that
    name their rank dimension (`rank_dim`: 0 for `lora_A`, 1 for `lora_B`), which `RowExactAdamW` reads and other
    optimizers carry along.
    """
    factors = [module for module in model.modules() if isinstance(module, LowRankFactors)]
    inside = {id(parameter) for module in factors for parameter in module.parameters()}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in inside]
    groups: list[dict[str, Any]] = [
        {"params": [f.lora_A for f in factors], "weight_decay": weight_decay, "rank_dim": 0},
        {"params": [f.lora_B for f in factors], "weight_decay": weight_decay, "rank_dim": 1},
        {"params": [p for p in rest if p.dim() > 1], "weight_decay": weight_decay, "rank_dim": None},
        {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0, "rank_dim": None},
    ]
    return [group for group in groups if group["params"]]


class RowExactAdamW(Optimizer):
    """AdamW that changes only the rows that a step trains: Algorithm 1 to the bit.

    A row outside the step is left as it is, its moments too, and the bias correction counts each row's own updates. A
    parameter whose group has `rank_dim` None is updated at every step, as by `torch.optim.AdamW`.

    Args:
        params: Parameter groups as `parameter_groups` gives them.
        lr: Learning rate, 0 or larger.
        betas: Decay of the two moments, inside [0, 1).
        eps: Added to the denominator.
        weight_decay: Decoupled weight decay, for groups that do not set their own.
        updated_rows: Gives the 0-based rows that the coming step trains (`rank_state(model)` knows them as
            `updated_rows`).
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        updated_rows: Callable[[], slice],
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "rank_dim": None}
        super().__init__(params, defaults)
        self._updated_rows = updated_rows
        self._blocks: dict[int, list[RowBlock]] = {}  # by the place of the group

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Do one update.

        Args:
            closure: Evaluates the model and gives the loss.

        Returns:
            The closure's loss, if there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rows = self._updated_rows()
        for number, group in enumerate(self.param_groups):
            if parameters := [parameter for parameter in group["params"] if parameter.grad is not None]:
                for parameter in parameters:
                    self._begin(parameter, group["rank_dim"])
                if group["rank_dim"] is None:
                    _adamw(parameters, [self.state[parameter] for parameter in parameters], group)
                else:
                    for block in self._blocks_with(parameters, number):
                        block.update(rows, group)
        return loss

    def _begin(self, parameter: Tensor, dim: int | None) -> None:
        """Make what is kept of a parameter, at its first update."""
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            # One counter a row; plain parameters have a single one.
            state["step"] = torch.zeros(1 if dim is None else parameter.shape[dim], dtype=torch.float64)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)

    def _blocks_with(self, parameters: list[Tensor], group: int) -> list[RowBlock]:
        """The blocks of a group, with these parameters in them: new ones for those that are in none."""
        kept = []
        for block in self._blocks.get(group, []):
            if block.holds(self.state):
                kept.append(block)
            else:
                block.release(self.state)
        held = {id(parameter) for block in kept for parameter in block.parameters}
        new = [parameter for parameter in parameters if id(parameter) not in held]
        self._blocks[group] = kept + blocks_of(new, self.param_groups[group]["rank_dim"], self.state)
        return self._blocks[group]


def linear_warmup(
    optimizer: Optimizer, total_steps: int, warmup_ratio: float, warmup_steps: int | None = None
) -> LambdaLR:
    """Linear warm-up, then linear decay to zero.

    Args:
        optimizer: What it steers. Groups with `constant_lr` True keep their learning rate.
        total_steps: Number of optimizer steps of the whole run.
        warmup_ratio: Share of them that warm up, from 0 to 1; rounded up to whole steps.
        warmup_steps: Number of warm-up steps; takes the place of the ratio.

    Raises:
        InputError: If the ratio is outside [0, 1] or the number of steps is negative.
    """
    check_warmup(warmup_ratio, warmup_steps)
    warmup = -int(-total_steps * warmup_ratio // 1) if warmup_steps is None else warmup_steps
    share = partial(_warmed_up, warmup=warmup, total=total_steps)
    constant = [group.get("constant_lr", False) for group in optimizer.param_groups]
    return LambdaLR(optimizer, [_one if keep else share for keep in constant] if any(constant) else share)


def check_warmup(ratio: float, steps: int | None) -> None:
    """Refuse a warm-up that cannot be.

    Raises:
        InputError: If the ratio is outside [0, 1] or the number of steps is negative.
    """
    if not 0 <= ratio <= 1:
        raise InputError("warmup_ratio", "from 0 to 1", ratio, "the paper uses 0.06")
    if steps is not None and steps < 0:
        raise InputError("warmup_steps", "0 or more", steps, "0 switches the warm-up off")


def build_optimizer(
    name: OptimizerName, model: nn.Module, lr: float, weight_decay: float, updated_rows: Callable[[], slice]
) -> Optimizer:
    """The named optimizer over a model's trainable parameters."""
    groups = parameter_groups(model, weight_decay)
    if name == "row_exact_adamw":
        return RowExactAdamW(groups, lr, updated_rows=updated_rows)
    return AdamW(groups, lr)


def _one(step: int) -> float:
    return 1.0


def _warmed_up(step: int, warmup: int, total: int) -> float:
    """Share of the peak learning rate at a step."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def _adamw(parameters: list[Tensor], states: list[dict[str, Tensor]], group: dict[str, Any]) -> None:
    """One AdamW update of whole parameters in place; the order of operations is torch's."""
    beta1, beta2 = group["betas"]
    grads = [cast(Tensor, parameter.grad) for parameter in parameters]
    exp_avgs, exp_avg_sqs, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    torch._foreach_add_(steps, 1.0)
    torch._foreach_lerp_(exp_avgs, grads, 1 - beta1)
    torch._foreach_mul_(exp_avg_sqs, beta2)
    torch._foreach_addcmul_(exp_avg_sqs, grads, grads, 1 - beta2)
    denominators = list(torch._foreach_sqrt(exp_avg_sqs))
    if group["weight_decay"]:
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
    counts = [step.item() for step in steps]
    torch._foreach_div_(denominators, [(1 - beta2**n) ** 0.5 for n in counts])
    torch._foreach_add_(denominators, group["eps"])
    torch._foreach_addcdiv_(parameters, exp_avgs, denominators, [-group["lr"] / (1 - beta1**n) for n in counts])
