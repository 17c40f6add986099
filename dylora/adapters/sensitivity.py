"""What an adapted layer's inputs are and how its outputs matter: the two matrices that weigh the two-sided cut.

Kronecker-factored Fisher information: to second order, a change `D` of a layer's weight costs about
`trace(G D C Dᵀ)`, with `C` the second moment of the layer's inputs and `G` that of the gradients at its output.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import adapted_layers, rank_state
from dylora.adapters.at_rest import at_rest
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.layers import AdaptedLayer
from dylora.errors import InputError

_ROUNDING = 1e-6  # of the batch's largest gradient: what is smaller may be nothing but rounding

Batch = Mapping[str, Any]
Output = Literal["score", "classes"]


@dataclass
class Sensitivity:
    """The statistics of one pair of factors. Two square matrices in fp32: 4 (d_in² + d_out²) bytes.

    Attributes:
        inputs: (d_in, d_in); the sum of `x xᵀ` over the layer's inputs that the model's output depends on.
        gradients: (d_out, d_out); the sum of `g gᵀ` over the gradients at the adapter's output.
        rows: How many inputs were summed (tokens, for a text).
    """

    inputs: Tensor
    gradients: Tensor
    rows: int = 0

    @torch.no_grad()
    def add(self, x: Tensor, g: Tensor) -> None:
        """Take in the inputs (*, d_in) and gradients (*, d_out) of a batch.

        A row without a gradient changes nothing in the output: padding, above all, and the query of a token that
        nothing reads or that sees itself alone. It is left out.
        """
        x, g = (rows.detach().reshape(-1, rows.shape[-1]).float() for rows in (x, g))
        sizes = g.abs().amax(-1)
        counts = sizes > _ROUNDING * sizes.amax()
        x, g = x[counts], g[counts]
        self.inputs += x.T @ x
        self.gradients += g.T @ g
        self.rows += len(x)


Sensitivities = dict[str, Sensitivity]
"""By the name of each `LowRankFactors` in the model."""


MOST_BYTES = 2**30
"""Of the matrices of all pairs, up to which they are gathered where nobody asked for them by name."""


def statistics_bytes(model: nn.Module) -> int:
    """Bytes of the matrices that `gather_sensitivities` keeps for an adapted model, all pairs together."""
    pairs = [module for module in model.modules() if isinstance(module, LowRankFactors)]
    return 4 * sum(pair.lora_A.shape[1] ** 2 + pair.lora_B.shape[0] ** 2 for pair in pairs)


def gather_sensitivities(
    model: nn.Module,
    batches: Iterable[Batch],
    outputs_of: Callable[[Batch], Tensor],
    output: Output,
    *,
    examples: int = 1000,
    seed: int = 0,
) -> Sensitivities:
    """Run training examples through an adapted model at `max_rank` and sum both matrices of every pair of factors.

    One forward and one backward of each batch, in evaluation mode (no dropout, BatchNorm at rest). No gradient is left
    on any parameter; rank, modes and random state are the ones before at the end, after an error too. The matrices of
    all pairs are kept at once, on the adapter's device: 113 MB for query and value of BERT base's 12 layers, 8.6 GB for
    those of 32 layers of width 4096.

    Args:
        model: An adapted model, not merged.
        batches: Batches of training examples; each a mapping whose tensors have an example in each row.
        outputs_of: Runs the model on a batch and gives what its loss looks at: (rows,) or (rows, k) scores, (rows, C)
            logits, or of a language model the logits (tokens, vocabulary) at the tokens that count.
        output: What those are: `score` (regression) or `classes` (two, more, or a vocabulary).
        examples: How many examples to take; the batch that reaches the number is the last, and is taken whole.
        seed: Of the labels that are drawn where there are more than two classes.

    Raises:
        InputError: If the model is merged, `examples` is below 1, or there is no batch.
    """
    merged = rank_state(model).merged_rank
    if merged is not None:
        raise InputError("model", "unmerged", f"merged at {merged}", "call unmerge(model) first")
    if examples < 1:
        raise InputError("examples", "1 or more", examples, "1000 are enough")
    named = {name: module for name, module in model.named_modules() if isinstance(module, LowRankFactors)}
    seen = 0
    with at_rest(model, [factors.lora_B for factors in named.values()]), ExitStack() as hooks:
        found = {name: _empty(factors) for name, factors in named.items()}  # no inference tensors: they are summed in
        by_pair = {factors: found[name] for name, factors in named.items()}
        for layer in adapted_layers(model):
            hooks.callback(layer.register_forward_hook(partial(_watch, by_pair)).remove)
        generator = torch.Generator().manual_seed(seed)
        for batch in batches:
            quantity = fisher_quantity(outputs_of(batch), output, generator)
            torch.autograd.grad(quantity, [f.lora_B for f in named.values()], allow_unused=True)
            seen += rows_in(batch)
            if seen >= examples:
                break
    if not seen:
        raise InputError("batches", "at least one batch of training examples", "none", "give some training examples")
    return found


def fisher_quantity(outputs: Tensor, output: Output, generator: torch.Generator) -> Tensor:
    """The number q whose gradient, squared and summed over examples, is the Fisher information of the outputs.

    One score: `q = Σ z`. Several: a random sign each. Two classes: `q = Σ (z₁ - z₀) sqrt(p₀ p₁)`, p held fixed, whose
    square is the exact expectation. More: `q = Σ log p(y)` with y drawn from p, right in the mean.

    Args:
        outputs: (rows,) or (rows, k) scores, or (rows, C) logits.
        output: Which of the two.
        generator: Draws labels and signs; on the CPU.
    """
    if output == "score":
        if outputs.dim() == 1 or outputs.shape[-1] == 1:
            return outputs.float().sum()
        signs = torch.randint(2, outputs.shape, generator=generator) * 2 - 1
        return (outputs.float() * signs.to(outputs.device)).sum()
    log_p = outputs.float().log_softmax(-1)
    if outputs.shape[-1] == 2:
        spread = log_p.detach().sum(-1).mul(0.5).exp()  # sqrt(p0 p1)
        return ((outputs[:, 1] - outputs[:, 0]).float() * spread).sum()
    drawn = torch.multinomial(log_p.detach().exp().cpu(), 1, generator=generator).to(outputs.device)
    return log_p.gather(-1, drawn).sum()


def _watch(
    found: Mapping[LowRankFactors, Sensitivity], layer: AdaptedLayer, inputs: tuple[Tensor, ...], output: Tensor
) -> None:
    """After a forward: wait for the gradient at its output, which belongs to these inputs."""
    (x,) = inputs

    def add(gradient: Tensor) -> None:
        for pair, part in layer.parts_of(gradient):
            found[pair].add(x, part)

    if output.requires_grad:  # not in the first forward of a checkpointed block
        output.register_hook(add)  # type: ignore[no-untyped-call]


def _empty(factors: LowRankFactors) -> Sensitivity:
    (_, d_in), (d_out, _), device = factors.lora_A.shape, factors.lora_B.shape, factors.lora_A.device
    return Sensitivity(torch.zeros(d_in, d_in, device=device), torch.zeros(d_out, d_out, device=device))


def rows_in(batch: Batch) -> int:
    """The number of rows of a batch: of its first tensor; 0 without one."""
    return next((len(value) for value in batch.values() if isinstance(value, Tensor)), 0)
