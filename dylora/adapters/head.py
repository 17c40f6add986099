"""The task head of a model: what is trained beside the adapters."""

import inspect
import re

from torch import nn
from transformers import PreTrainedModel

from dylora.errors import InputError

_TASK_CLASS = re.compile(r"For[A-Z]")  # how transformers names them: BertForTokenClassification, but BertModel
_READS_POOLER = re.compile(r"pooler_output|pooled|outputs?\[1\]")
_HEAD_INSIDE = re.compile(r"PerceiverFor\w*Classification\w*")  # their head is one of the modules of the backbone
_SECOND_HEAD = "multiple_choice_head"  # beside the output embedding of a language model


def task_head(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the task head: those outside the backbone, and of its pooler if the task reads it.

    The output embedding of a language model is no task head, and a bare backbone has none.

    Raises:
        InputError: If the model has a task head that cannot be told from its backbone.
    """
    if getattr(model, "get_output_embeddings", lambda: None)() is not None:
        return list(getattr(model, _SECOND_HEAD, nn.Module()).parameters())
    backbones = _backbones(model)
    if not backbones:
        return []
    pooler = {id(p) for p in _pooler(backbones)} if _reads_pooler(model) else set()
    inside = {id(p) for backbone in backbones for p in backbone.parameters()} - pooler
    return [p for p in model.parameters() if id(p) not in inside]


def unread_pooler(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of a backbone's pooler that no output of the model depends on, so that they have no gradient."""
    return [] if _reads_pooler(model) else _pooler(_backbones(model))


def _backbones(model: nn.Module) -> list[nn.Module]:
    """The pretrained parts of a model with a task head; none of a bare backbone.

    That is the part that the class names as its base model. CLIP, SigLIP, Whisper and T5 have none of that name in
    some classes: there it is every part that is a pretrained model itself.
    """
    names = [kind.__name__ for kind in type(model).__mro__]
    if any(_HEAD_INSIDE.fullmatch(name) for name in names):
        raise _unclear(model)
    named = getattr(model, getattr(model, "base_model_prefix", "") or " ", None)
    if isinstance(named, nn.Module):
        return [named]
    if not isinstance(model, PreTrainedModel) or not any(_TASK_CLASS.search(name) for name in names):
        return []
    parts: list[nn.Module] = [part for part in model.children() if isinstance(part, PreTrainedModel)]
    if not parts:
        raise _unclear(model)
    return parts


def _pooler(backbones: list[nn.Module]) -> list[nn.Parameter]:
    poolers = [getattr(backbone, "pooler", None) for backbone in backbones]
    return [parameter for pooler in poolers if isinstance(pooler, nn.Module) for parameter in pooler.parameters()]


def _reads_pooler(model: nn.Module) -> bool:
    """Whether the model's forward uses the pooled output, as far as its source tells.

    BigBird's classifier and many classes for tokens and questions build a pooler and leave it unused.
    """
    try:
        return bool(_READS_POOLER.search(inspect.getsource(type(model).forward)))
    except (OSError, TypeError):  # no source at hand
        return True


def _unclear(model: nn.Module) -> InputError:
    allowed = "one whose task head is a module beside its backbone"
    fix = "choose another class of the architecture, or adapt its bare backbone below a head of your own"
    return InputError("model", allowed, type(model).__name__, fix)
