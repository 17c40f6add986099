"""What a language model predicts at labelled tokens alone: never the logits of all tokens of all rows.

Logits are (tokens, vocabulary), by far the largest tensor of a language model. Prompts and padding have no label, so
their logits are not computed; the others are, a part at a time, where only losses and choices are wanted of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

_LOGITS = 2**24
"""Largest number of logits that are held at once: 64 MiB in fp32."""


TokenLosses = tuple[Tensor, Tensor | None]
"""Loss of each token, (tokens,), and the token that was most probable, (tokens,), or None where gradients are recorded:
a training step has no use for it."""


class LabelledTokens:
    """A language model's logits at labelled tokens, all or a part at a time.

    The last hidden states are taken where the model hands them to its output embedding. Whether it changes the logits
    behind it (by a cap or a scale) is found out on the first batch; those of such a model come from the model itself.

    Args:
        model: A causal or encoder-decoder language model.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._has_plain_head: bool | None = None

    def logits(self, inputs: Mapping[str, Any], counted: Tensor) -> Tensor:
        """The logits at all labelled tokens, (tokens, vocabulary), fp32.

        Args:
            inputs: Keyword arguments of the model's forward.
            counted: (rows, T), True at the labelled tokens.
        """
        hidden, model_logits = self._forward(inputs, counted)
        return (model_logits if hidden is None else self._head()(hidden)).float()

    def losses(self, inputs: Mapping[str, Any], counted: Tensor, targets: Tensor, smoothing: float) -> TokenLosses:
        """Loss and, without gradients, most probable token at each labelled token.

        Args:
            inputs: Keyword arguments of the model's forward.
            counted: (rows, T), True at the labelled tokens.
            targets: (tokens,), the labels there.
            smoothing: Share of the target that is spread over the vocabulary.
        """
        hidden, logits = self._forward(inputs, counted)
        head = self._head()
        if hidden is None:
            return _losses_of(logits.float(), targets, smoothing)
        size = max(1, _LOGITS // self._model.config.get_text_config().vocab_size)
        if len(targets) <= size or not (_is_frozen_linear(head) or not torch.is_grad_enabled()):
            return _losses_of(head(hidden).float(), targets, smoothing)
        if type(head) is nn.Linear and torch.is_grad_enabled():
            return _InParts.apply(hidden, *_weights(head), targets, smoothing, size), None  # type: ignore[no-untyped-call]
        parts = zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
        losses, best = zip(*(_losses_of(head(part).float(), labels, smoothing) for part, labels in parts), strict=True)
        return torch.cat(losses), _joined(best)

    def _head(self) -> nn.Module:
        return cast(nn.Module, cast(Any, self._model).get_output_embeddings())

    def _forward(self, inputs: Mapping[str, Any], counted: Tensor) -> tuple[Tensor | None, Tensor]:
        """Hidden states of the labelled tokens (tokens, d), or None, and logits (tokens, vocabulary) if it is None."""
        head = self._head()
        if self._has_plain_head is None:
            self._has_plain_head = self._finds_plain_head(inputs, counted)
        if not self._has_plain_head:
            return None, cast(Tensor, self._model(**inputs).logits)[:, : counted.shape[1]][counted]
        seen, logits = _run(self._model, head, inputs)
        return seen[:, : counted.shape[1]][counted], logits

    @torch.no_grad()
    def _finds_plain_head(self, inputs: Mapping[str, Any], counted: Tensor) -> bool:
        """Whether the logits are what the output embedding makes of one hidden state a token, each by itself."""
        head = self._head()
        if head is None or hasattr(head, "factors"):  # an adapted one needs the rows of the batch
            return False
        device = counted.device
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),  # the step draws what it would draw
            torch.compiler.set_stance("force_eager"),  # a compiled model would be compiled for it
        ):
            try:
                seen, logits = _run(self._model, head, inputs)
            except (LookupError, RuntimeError):
                return False
        if seen.dim() != 3 or seen.shape[1] < counted.shape[1]:
            return False
        return torch.equal(head(_first(seen)).float(), logits.float())


def _run(model: nn.Module, head: nn.Module, inputs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Run a model whose output embedding is shown one token alone.

    Returns:
        The hidden states of all tokens, (rows, T, d), and the logits of the first one, (1, 1, vocabulary).

    Raises:
        LookupError: If the model does not call its output embedding once.
    """
    seen: list[Tensor] = []

    def look(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(args[0])
        return (_first(args[0]), *args[1:])

    handle = head.register_forward_pre_hook(look)
    try:
        logits = cast(Any, model)(**inputs).logits
    finally:
        handle.remove()
    if len(seen) != 1:
        raise LookupError(f"{type(model).__name__} calls its output embedding {len(seen)} times")
    return seen[0], logits


def _first(hidden: Tensor) -> Tensor:
    """The first token's hidden states, (1, 1, d).

    Copied, since torch multiplies a view with the strides of the whole as a batch of matrices, for which it copies the
    head's weight: in bf16 on a CPU a fifth of a training step of SmolLM2's shape.
    """
    return hidden[:1, :1].clone(memory_format=torch.contiguous_format)


def _losses_of(logits: Tensor, targets: Tensor, smoothing: float) -> TokenLosses:
    losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    return losses, None if torch.is_grad_enabled() else logits.argmax(-1)


def _joined(choices: Sequence[Tensor | None]) -> Tensor | None:
    found = [each for each in choices if each is not None]
    return torch.cat(found) if found else None


class _InParts(torch.autograd.Function):
    """Cross-entropy behind a frozen linear layer, a part of the tokens at a time.

    The gradient at the hidden states is made beside the loss, while the part's logits are there, so that nothing of
    them is kept: of token i it is its loss's gradient times (p_i - q_i) W, with p the softmax and q the target.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        size: int,
    ) -> Tensor:
        losses, grads = [], []
        for part, labels in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
            logits = F.linear(part.to(weight.dtype), weight, bias).float()
            losses.append(F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing))
            if ctx.needs_input_grad[0]:
                grad = torch.softmax(logits, -1).sub_(smoothing / logits.shape[-1])
                grad[torch.arange(len(labels), device=grad.device), labels] -= 1 - smoothing
                grads.append((grad.to(weight.dtype) @ weight).to(hidden.dtype))
        ctx.save_for_backward(*([torch.cat(grads)] if grads else []))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (grads,) = ctx.saved_tensors
        return grads * grad[:, None].to(grads.dtype), None, None, None, None, None


def _is_frozen_linear(head: nn.Module) -> bool:
    return type(head) is nn.Linear and not any(parameter.requires_grad for parameter in head.parameters())


def _weights(head: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias as they are multiplied; autocast would cast a frozen weight again for every part."""
    kind = head.weight.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.weight.dtype
    return head.weight.to(dtype), None if head.bias is None else head.bias.to(dtype)
