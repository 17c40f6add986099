"""How well a language model predicts given texts: perplexity and token accuracy."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class TokenMetrics(Metric):
    """Perplexity, token accuracy and loss over all tokens of all batches and processes.

    Sums over tokens are kept, not means of batches, so the figures do not depend on how rows are spread.

    >>> metric = TokenMetrics()
    >>> metric.update(torch.tensor([[math.log(4.0), 1.0, 1.0], [math.log(4.0), 0.0, 1.0]]))
    >>> {name: round(value, 4) for name, value in metric.compute().items()}
    {'perplexity': 4.0, 'token_accuracy': 0.5, 'loss': 1.3863}
    """

    full_state_update = False
    loss: Tensor
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, rows: Tensor) -> None:
        """Take in a batch.

        Args:
            rows: (N, 3); of each text the negative log-likelihood in nats, the number of tokens that the model thought
                most probable, and the number of tokens.
        """
        self.loss += rows[:, 0].sum()
        self.counts += rows[:, 1:].sum(0).long()

    def compute(self) -> dict[str, float]:
        """The metrics, empty before any token was counted.

        `loss` is the mean negative log-likelihood of a token in nats, 0 and up; `perplexity` its exponential, 1 and up
        (infinite where that is too large for a float); `token_accuracy` a fraction, 0..1.
        """
        correct, tokens = self.counts.tolist()
        if not tokens:
            return {}
        loss = self.loss.item() / tokens
        perplexity = math.exp(loss) if loss < 700 else math.inf
        return {"perplexity": perplexity, "token_accuracy": correct / tokens, "loss": loss}
