"""FLOP: factorised low-rank pruning (Wang, Wohlwend and Lei 2019, Structured Pruning of Large Language Models)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from dylora.adapters.optim import OptimizerName, parameter_groups
from dylora.errors import InputError
from dylora.methods.full import FullFineTuning
from dylora.methods.gated_linear import factorise, gated_layers

_TINY = 1e-15  # AdamW's eps for the gates: open ones have gradients that are not much larger than its usual 1e-8
_HUGE = 1e8
_SQUARED = 10.0  # weight of the squared term: without it the size swings around its target for hundreds of steps


class FLOP(FullFineTuning):
    """Every weight of the layers is factorised, and its rank-one components are pruned while all is trained.

    With R the expected share of parameters and t the step's target, `lambda_1 (R - t) + 10 lambda_2 (R - t)^2` is
    added to the task's loss; weights and gates descend it, the multipliers ascend it from zero.

    Args:
        target: Size that the weights of the layers are driven to, as a share of what they had before they were
            factorised, above 0 and at most 1.
        warmup_ratio: Share of all steps over which the target falls linearly to its value, from 0 to 1.
        gate_learning_rate: Learning rate of the gates, constant over the run, above 0.
        multiplier_learning_rate: Step of the gradient ascent in the Lagrangian's two multipliers, constant, above 0.

    Attributes:
        multipliers: lambda_1 and lambda_2, (2,).

    Raises:
        InputError: If a value is outside what is written above.
    """

    name = "flop"

    def __init__(
        self,
        target: float = 0.8,
        warmup_ratio: float = 0.5,
        gate_learning_rate: float = 0.1,
        multiplier_learning_rate: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 < target <= 1:
            raise InputError("model.method.target", "above 0 and at most 1", target, "0.8 keeps 80 %")
        if not 0 <= warmup_ratio <= 1:
            raise InputError("model.method.warmup_ratio", "from 0 to 1", warmup_ratio, "0 prunes at once")
        rates = {"gate_learning_rate": gate_learning_rate, "multiplier_learning_rate": multiplier_learning_rate}
        for name, rate in rates.items():
            if not 0 < rate <= 100:
                raise InputError(f"model.method.{name}", "above 0 and at most 100", rate, "0.1 is the default")
        self.target = target
        self.warmup_ratio = warmup_ratio
        self.gate_learning_rate = gate_learning_rate
        self.multiplier_learning_rate = multiplier_learning_rate
        self.multipliers = nn.Parameter(torch.zeros(2))

    def begin(self, model: nn.Module) -> None:
        """Factorise, and train everything."""
        factorise(model)
        super().begin(model)
        with torch.no_grad():
            self._start = float(expected_size(model))

    def optimizer(self, name: OptimizerName, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
        """AdamW for weights and gates, at rates of their own; plain gradient ascent for the multipliers."""
        gates = [layer.log_alpha for layer in gated_layers(model).values()]
        apart = {id(gate) for gate in gates}
        groups = parameter_groups(model, weight_decay)
        for group in groups:
            group["params"] = [p for p in group["params"] if id(p) not in apart]
        own: dict[str, Any] = {"weight_decay": 0.0, "rank_dim": None, "constant_lr": True}
        groups.append({"params": gates, "lr": self.gate_learning_rate, "eps": _TINY, **own})
        groups.append({"params": [self.multipliers], **_ascent(self.multiplier_learning_rate), **own})
        return AdamW([group for group in groups if group["params"]], lr)

    def target_at(self, progress: float) -> float:
        """The target at a share of the run's steps, falling linearly from the size at the start."""
        warmup = self.warmup_ratio
        done = 1.0 if progress >= warmup else progress / warmup
        return self._start + (self.target - self._start) * done

    def training_loss(self, loss: Tensor, model: nn.Module, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The task's loss and the augmented Lagrangian; the expected size is logged beside the target."""
        size = expected_size(model)
        excess = size - self.target_at(progress)
        penalty = self.multipliers[0] * excess + _SQUARED * self.multipliers[1] * excess.square()
        return loss + penalty, {"flop/size": size.detach(), "flop/excess": excess.detach()}

    @torch.no_grad()
    def report(self, model: nn.Module) -> dict[str, Any]:
        """Rank and parameters of each matrix as it is evaluated, and those of the whole model without the gates.

        A matrix of rank k counts k (rows + columns). `size` is the share that is left of all matrices, `expected_size`
        what the gates say of it when they are sampled.
        """
        layers = gated_layers(model)
        matrices: list[dict[str, Any]] = [
            {
                "name": name,
                "rows": layer.out_features,
                "columns": layer.in_features,
                "rank": layer.rank,
                "components": len(layer.log_alpha),
                "parameters": layer.rank * layer.component_size,
                "dense_parameters": layer.out_features * layer.in_features,
            }
            for name, layer in layers.items()
        ]
        left = sum(matrix["parameters"] for matrix in matrices)
        dense = sum(matrix["dense_parameters"] for matrix in matrices)
        factored = sum(p.numel() for layer in layers.values() for p in (layer.up, layer.down, layer.log_alpha))
        rest = sum(p.numel() for p in model.parameters()) - factored
        sizes = {"target": self.target, "size": left / dense, "expected_size": float(expected_size(model))}
        counts = {"parameters": rest + left, "dense_parameters": rest + dense}
        return {**sizes, **counts, "matrices": matrices}

    def report_text(self, report: Mapping[str, Any]) -> str:
        """The rank of each pruned matrix, and how much of the model is left."""
        lines = [f"{'rank':>6}{'of':>6}{'parameters':>12}  matrix"]
        lines += [f"{m['rank']:>6}{m['components']:>6}{m['parameters']:>12,}  {m['name']}" for m in report["matrices"]]
        shares = f"{report['size']:.2%} (expected {report['expected_size']:.2%}, target {report['target']:.2%})"
        count = f"{report['parameters']:,} parameters, {report['dense_parameters']:,} before"
        last = f"Left of them: {shares}; the model has {count}"
        return "\n".join(["", "Matrices in checkpoints/last.ckpt:", *lines, last])


def expected_size(model: nn.Module) -> Tensor:
    """R, (): `sum of P(g > 0) (rows + columns)` over all components, relative to `rows x columns` of all matrices.

    At the start it is about `(rows + columns) / max(rows, columns)`, which is 2 for a square matrix.
    """
    layers = gated_layers(model).values()
    dense = sum(layer.out_features * layer.in_features for layer in layers)
    return torch.stack([layer.expected_parameters for layer in layers]).sum() / dense


def _ascent(rate: float) -> dict[str, Any]:
    """Options that make AdamW's update `rate * gradient`: without momentum, with a denominator that is `eps` alone.

    Its own denominator would remember the large excess at the start, and then follow a small one too slowly.
    """
    return {"lr": rate * _HUGE, "eps": _HUGE, "betas": (0.0, 0.999), "maximize": True}
