"""The DyLoRA paper written out literally, slow and obvious: the oracle of the fast code.

Nothing here comes from the package. Ranks are 1-based, as in the paper; `A` is its `Wdw`, (r_max, d), one row per
rank, and `B` its `Wup`, (m, r_max), one column per rank.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SCALINGS: dict[str, Callable[[float, int, int], float]] = {
    "alpha/b": lambda alpha, b, r_max: alpha / b,
    "alpha/max_rank": lambda alpha, b, r_max: alpha / r_max,
    "alpha/sqrt(b*max_rank)": lambda alpha, b, r_max: alpha / (b * r_max) ** 0.5,
}


def low_rank(x: Tensor, A: Tensor, B: Tensor, b: int, alpha: float, scaling: str) -> Tensor:
    """`s(b) Wup|b Wdw|b x` of Eq. 7 as a sum over the ranks 1 to b, one outer product after the other.

    Args:
        x: (..., d).
        A: (r_max, d).
        B: (m, r_max).
        b: The rank.
        alpha: LoRA's alpha.
        scaling: A key of `SCALINGS`.

    Returns:
        (..., m).
    """
    r_max = A.shape[0]
    total = torch.zeros(*x.shape[:-1], B.shape[0], dtype=x.dtype)
    for k in range(1, b + 1):
        row = A[k - 1, :]
        column = B[:, k - 1]
        hidden = (x * row).sum(dim=-1, keepdim=True)  # (..., 1)
        total = total + hidden * column
    return SCALINGS[scaling](alpha, b, r_max) * total


def linear_forward(
    x: Tensor, W0: Tensor, bias: Tensor | None, A: Tensor, B: Tensor, b: int, alpha: float, scaling: str
) -> Tensor:
    """Eq. 7 for a linear layer: `h = W0 x + bias + s(b) Wup|b Wdw|b x`, with W0 (m, d)."""
    h = torch.stack([(x * W0[i, :]).sum(dim=-1) for i in range(W0.shape[0])], dim=-1)
    if bias is not None:
        h = h + bias
    return h + low_rank(x, A, B, b, alpha, scaling)


def fused_forward(
    x: Tensor,
    W0: Tensor,
    bias: Tensor,
    factors: dict[str, tuple[Tensor, Tensor]],
    b: int,
    alpha: float,
    scaling: str,
) -> Tensor:
    """Eq. 7 for GPT-2's fused projection, W0 (d, 3 d): its output is q, k and v side by side.

    Args:
        x: (..., d).
        W0: (d, 3 d), the transpose of a linear layer's weight.
        bias: (3 d).
        factors: `A` (r_max, d) and `B` (d, r_max) of those among `q`, `k`, `v` that are adapted.
        b: The rank.
        alpha: LoRA's alpha.
        scaling: A key of `SCALINGS`.
    """
    d = W0.shape[0]
    outputs = []
    for place, name in enumerate(["q", "k", "v"]):
        weight = W0[:, place * d : (place + 1) * d].T  # (d, d), as a linear layer has it
        part_bias = bias[place * d : (place + 1) * d]
        if name in factors:
            A, B = factors[name]
            outputs.append(linear_forward(x, weight, part_bias, A, B, b, alpha, scaling))
        else:
            outputs.append(torch.stack([(x * weight[i, :]).sum(dim=-1) for i in range(d)], dim=-1) + part_bias)
    return torch.cat(outputs, dim=-1)


def individual_loss(loss_at: Callable[[int], Tensor], b: int) -> Tensor:
    """`L|b`: the loss of the whole batch at the one rank that was drawn."""
    return loss_at(b)


def summation_loss(loss_at: Callable[[int], Tensor], probabilities: Sequence[float]) -> Tensor:
    """Nested dropout's loss, the sum over b from 1 of `p_B(b) L|b`."""
    total = torch.tensor(0.0, dtype=torch.float64)
    for b, probability in enumerate(probabilities, start=1):
        total = total + probability * loss_at(b)
    return total


def updated_ranks(b: int, frozen: bool) -> list[int]:
    """Algorithm 1, step 4: the ranks whose row and column change: b alone, or 1 to b."""
    if frozen:
        return [b]
    return list(range(1, b + 1))


def algorithm_1_sgd(
    A: Tensor, B: Tensor, grad_A: Tensor, grad_B: Tensor, b: int, learning_rate: float, frozen: bool
) -> tuple[Tensor, Tensor]:
    """The update as Algorithm 1 prints it: `W <- W - eta grad` on the rows and columns of that step."""
    new_A, new_B = A.clone(), B.clone()
    for k in updated_ranks(b, frozen):
        new_A[k - 1, :] = A[k - 1, :] - learning_rate * grad_A[k - 1, :]
        new_B[:, k - 1] = B[:, k - 1] - learning_rate * grad_B[:, k - 1]
    return new_A, new_B


class PerRowAdamW:
    """Algorithm 1 with AdamW: each row of A and column of B is a parameter with a `torch.optim.AdamW` of its own.

    An optimizer is stepped only when Algorithm 1 updates its row; otherwise it does not know that there was a step.
    """

    def __init__(self, A: Tensor, B: Tensor, lr: float, betas: tuple[float, float], eps: float, weight_decay: float):
        self.rows = [torch.nn.Parameter(A[k, :].detach().clone()) for k in range(A.shape[0])]
        self.columns = [torch.nn.Parameter(B[:, k].detach().clone()) for k in range(B.shape[1])]
        self.optimizers = [
            torch.optim.AdamW(pair, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=False)
            for pair in zip(self.rows, self.columns, strict=True)
        ]

    @property
    def A(self) -> Tensor:  # noqa: N802 (the paper's name)
        """All rows, (r_max, d)."""
        return torch.stack([row.detach() for row in self.rows])

    @property
    def B(self) -> Tensor:  # noqa: N802 (the paper's name)
        """All columns, (m, r_max)."""
        return torch.stack([column.detach() for column in self.columns], dim=1)

    def step(self, grad_A: Tensor, grad_B: Tensor, b: int, frozen: bool) -> None:
        """One step of Algorithm 1 at rank b with the gradients of the whole factors."""
        for k in updated_ranks(b, frozen):
            self.rows[k - 1].grad = grad_A[k - 1, :].clone()
            self.columns[k - 1].grad = grad_B[:, k - 1].clone()
            self.optimizers[k - 1].step()


def weighted_truncation(D: Tensor, C: Tensor, G: Tensor, b: int, ridge: float = 1e-3) -> Tensor:
    """The matrix of rank b closest to D, (m, d), in `|| G^(1/2) (D - .) C^(1/2) ||_F`: a dense generalised SVD.

    Args:
        D: (m, d).
        C: (d, d), second moments of the inputs; scaled to a mean diagonal of 1, the ridge added.
        G: (m, m), likewise of the gradients.
        b: The rank.
        ridge: What is added to both diagonals.
    """
    roots = []
    for moments in (G, C):
        scaled = moments / moments.diagonal().mean() + ridge * torch.eye(len(moments), dtype=moments.dtype)
        values, vectors = torch.linalg.eigh(scaled)
        roots.append(vectors @ torch.diag(values.sqrt()) @ vectors.T)  # symmetric, unlike a Cholesky factor
    G_root, C_root = roots
    u, s, vh = torch.linalg.svd(G_root @ D @ C_root)
    best = torch.zeros_like(D)
    for k in range(b):
        best = best + s[k] * torch.outer(u[:, k], vh[k, :])
    return torch.linalg.inv(G_root) @ best @ torch.linalg.inv(C_root)


def cut_in_basis(A: Tensor, B: Tensor, M: Tensor, b: int) -> Tensor:
    """`B M^-1 I_b M A`, with the first b diagonal ones in `I_b`: rank b of the factors `M A` and `B M^-1`."""
    kept = torch.zeros_like(M)
    for k in range(b):
        kept[k, k] = 1.0
    return B @ torch.linalg.inv(M) @ kept @ M @ A


def mixed_loss(row_loss_at: Callable[[int, int], Tensor], ranks: Sequence[int]) -> Tensor:
    """The mean over the rows of a batch, each at a rank of its own: `1/n sum over i of L_i|b_i`.

    Args:
        row_loss_at: Loss of a row, from 0, at a rank.
        ranks: The rank of each row.
    """
    total = torch.tensor(0.0)
    for row, rank in enumerate(ranks):
        total = total + row_loss_at(row, rank)
    return total / len(ranks)


RISES: dict[str, Callable[[int], float]] = {
    "linear": lambda j: j - 1,
    "sqrt": lambda j: (j - 1) ** 0.5,
    "log": lambda j: float(torch.log(torch.tensor(float(j), dtype=torch.float64))),
    "quadratic": lambda j: (j - 1) ** 2,
}


def ordered_decay(A: Tensor, B: Tensor, shape: str) -> tuple[float, Tensor, Tensor]:
    """`sum over j of rise(j) (|A_j|^2 + |B_:j|^2)` with its gradients `2 rise(j) A_j` and `2 rise(j) B_:j`."""
    value, grad_A, grad_B = 0.0, torch.zeros_like(A), torch.zeros_like(B)
    for j in range(1, A.shape[0] + 1):
        row, column = A[j - 1, :], B[:, j - 1]
        value += RISES[shape](j) * (float((row * row).sum()) + float((column * column).sum()))
        grad_A[j - 1, :] = 2 * RISES[shape](j) * row
        grad_B[:, j - 1] = 2 * RISES[shape](j) * column
    return value, grad_A, grad_B


def decoupled_decay(A: Tensor, B: Tensor, lr: float, omega: float, shape: str) -> tuple[Tensor, Tensor]:
    """Row j of A and column j of B times `1 - lr omega rise(j)`."""
    rows = [A[j - 1, :] * (1 - lr * omega * RISES[shape](j)) for j in range(1, A.shape[0] + 1)]
    columns = [B[:, j - 1] * (1 - lr * omega * RISES[shape](j)) for j in range(1, A.shape[0] + 1)]
    return torch.stack(rows), torch.stack(columns, dim=1)


def distillation(student: Sequence[float], teacher: Sequence[float], loss: str) -> float:
    """One row: `sum over c of p_c (log p_c - log q_c)`, p the teacher's, or the mean of `(s_c - t_c)^2`."""
    if loss == "mse":
        return sum((s - t) ** 2 for s, t in zip(student, teacher, strict=True)) / len(student)
    q, p = (torch.tensor(z, dtype=torch.float64).exp() for z in (student, teacher))
    q, p = q / q.sum(), p / p.sum()
    return sum(float(p[c] * (p[c].log() - q[c].log())) for c in range(len(p)))
