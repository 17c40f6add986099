"""Text metrics as torchmetrics, the same in one process or many."""

import json
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from dylora.metrics.nlg import bleu, cider, meteor, nist, rouge_l, ter_pyter, ter_tercom
from dylora.metrics.nlg.inputs import References, check_texts

Scores = TypeVar("Scores", float, dict[str, float | None])


class CorpusTextMetric(Metric, Generic[Scores]):
    """A corpus score over the texts of all batches and processes.

    torchmetrics gathers tensors only, so an item is a line of bytes, its hypothesis and references in JSON. Items are
    scored in one fixed order, so the figure does not depend on how they are spread over batches or processes to the
    last digit. Any function of all texts will do, also one that gives several scores, such as `e2e_scores`.

    >>> metric = CorpusTextMetric(rouge_l.score)
    >>> metric.update(["A cheap pub."], [["A pub that is cheap.", "It is a cheap pub."]])
    >>> metric.update(["A pub."], [["A restaurant."]])
    >>> round(metric.compute(), 4)
    0.6088

    Args:
        score: From hypotheses and references to the score.
    """

    full_state_update = False
    is_differentiable = False
    lines: list[Tensor] | Tensor

    def __init__(self, score: Callable[[Sequence[str], References], Scores]) -> None:
        super().__init__()
        self.score: Callable[[Sequence[str], References], Scores] = score
        self.add_state("lines", [], dist_reduce_fx="cat")
        self.reset()

    def update(self, hypotheses: Sequence[str], references: References) -> None:
        """Take in a batch.

        Args:
            hypotheses: One text an item.
            references: The references of each item.

        Raises:
            InputError: The two do not fit each other.
        """
        check_texts(hypotheses, references)
        items = zip(hypotheses, references, strict=True)
        data = "".join(f"{json.dumps([text, list(texts)])}\n" for text, texts in items).encode("ascii")
        self.lines.append(torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device))  # type: ignore[union-attr]

    def compute(self) -> Scores:
        """The score of all items so far.

        Raises:
            InputError: No item was given.
        """
        data = bytes(dim_zero_cat(self.lines).cpu().numpy())
        items = [json.loads(line) for line in sorted(data.splitlines())]
        scores: Scores = self.score([text for text, _ in items], [texts for _, texts in items])
        return scores

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        # A process without items takes part in the gathering with this; torchmetrics would send floats.
        self.lines = [torch.empty(0, dtype=torch.uint8, device=self.device)]


class BLEU(CorpusTextMetric[float]):
    """BLEU (`bleu.score`), 0..1."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(bleu.score)


class NIST(CorpusTextMetric[float]):
    """NIST (`nist.score`), 0 and up."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(nist.score)


class ROUGEL(CorpusTextMetric[float]):
    """ROUGE-L (`rouge_l.score`), 0..1."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(rouge_l.score)


class CIDEr(CorpusTextMetric[float]):
    """CIDEr (`cider.score`), 0..10."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(cider.score)


class PyterTER(CorpusTextMetric[float]):
    """TER as microsoft/LoRA reports it (`ter_pyter.score`), 0 and up."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__(ter_pyter.score)


class TercomTER(CorpusTextMetric[float]):
    """TER as DART and WebNLG 2017 report it (`ter_tercom.score`), 0 and up."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__(ter_tercom.score)


class METEOR(CorpusTextMetric[float]):
    """METEOR 1.5 (`meteor.score`), 0..1; needs the extra `dylora[meteor]`."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(meteor.score)
