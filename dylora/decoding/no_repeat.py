"""No n-gram twice in a generated text, whatever the prompt says."""

import torch
from torch import Tensor
from transformers import LogitsProcessor


class NoRepeatGeneratedNGram(LogitsProcessor):
    """Bar every token that would complete an n-gram which the text holds already.

    transformers' own processor counts the prompt's n-grams too, so that a text could not repeat a name of four tokens
    which its table gives.

    Args:
        size: n, at least 1.
        prompt_length: Number of tokens in front of the generated ones, padding included.
    """

    def __init__(self, size: int, prompt_length: int) -> None:
        self.size = size
        self.prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores with minus infinity at the barred tokens.

        Args:
            input_ids: (rows, tokens), the prompts and what was generated so far.
            scores: (rows, vocabulary).

        Returns:
            New scores of the same shape.
        """
        text = input_ids[:, self.prompt_length :]
        length = text.shape[1]
        if length < self.size:
            return scores
        windows = text.unfold(1, self.size, 1)  # (rows, length - n + 1, n)
        beginning = text[:, None, length - self.size + 1 :]  # (rows, 1, n - 1): what the next token would complete
        repeats = (windows[..., :-1] == beginning).all(-1)
        row, place = repeats.nonzero(as_tuple=True)
        barred = torch.zeros_like(scores, dtype=torch.bool)
        barred[row, windows[row, place, -1]] = True
        return scores.masked_fill(barred, -torch.inf)
