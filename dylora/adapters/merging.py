"""Adapters merged into the base weights, and taken out of the model for good."""

from collections import Counter
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from dylora.adapters.active_rank import adapted_layers, set_rank
from dylora.adapters.layers import AdaptedLayer
from dylora.errors import InputError

Model = TypeVar("Model", bound=nn.Module)


@torch.inference_mode(False)  # the weights are to be ordinary tensors afterwards
@torch.no_grad()
def merge(model: nn.Module, rank: int) -> None:
    """Add the adapters at a rank to the base weights (in fp32), so that a forward costs what the base model's does.

    A merged model is for inference: it refuses to be trained, to give its `state_dict` and to load one, since its
    adapters would be applied twice. `unmerge` leads back; `unload` makes a plain model.

    Raises:
        InputError: If the rank is outside the range, the model is merged already, or a base weight is quantised,
            computed from others (parametrised) or belongs to another module too (a tied embedding).
    """
    layers = adapted_layers(model)
    state = layers[0].state
    if state.merged_rank is not None:
        raise InputError("model", "unmerged", f"merged at {state.merged_rank}", "call unmerge(model) first")
    _check_weights(model, layers)
    set_rank(model, rank)
    assert isinstance(state.rank, int)
    for layer in layers:
        layer.merge(state.rank)
    state.merged_rank = state.rank


def unmerge(model: nn.Module) -> None:
    """Restore the base weights exactly; does nothing to a model that is not merged."""
    layers = adapted_layers(model)
    if layers[0].state.merged_rank is None:
        return
    for layer in layers:
        layer.unmerge()
    layers[0].state.merged_rank = None


def unload(model: Model, rank: int) -> Model:
    """Merge the adapters at a rank and take them out, in place: a plain model is left, of the class it had before.

    Its `save_pretrained` writes files that `from_pretrained` of its class reads, bit for bit. All its floating-point
    parameters can be trained, as those of a model that was just loaded. `copy.deepcopy(model)` first keeps the adapted
    one.

    Args:
        model: An adapted model, not merged or merged at this rank.
        rank: The rank.

    Returns:
        The same model.

    Raises:
        InputError: As `merge`, or if the model is merged at another rank.
    """
    state = adapted_layers(model)[0].state
    if state.merged_rank is None:
        merge(model, rank)
    else:
        set_rank(model, rank)
    for handle in state.hooks:
        handle.remove()
    for name, module in list(model.named_modules(remove_duplicate=False)):
        module.__dict__.pop("save_pretrained", None)
        if isinstance(module, AdaptedLayer):
            model.set_submodule(name, module.base_layer)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    return model


def guard(model: nn.Module) -> None:
    """Refuse what would go wrong without a word, for as long as the adapters are in the model.

    That is `save_pretrained` of an adapted model, whose names `from_pretrained` does not know: it would start with
    random weights in their place; the state of a merged model, in which the adapters are both in the base weights and
    beside them; and training it, in which the adapters get no gradient.
    """
    state = adapted_layers(model)[0].state
    for module in model.modules():
        if hasattr(module, "save_pretrained"):
            module.save_pretrained = _refuse_save  # type: ignore[assignment]
    for layer in adapted_layers(model):
        state.hooks.append(cast(Any, layer).register_state_dict_pre_hook(_refuse_state))
        state.hooks.append(layer.register_forward_pre_hook(_refuse_training))
    for module in {model, *adapted_layers(model)}:
        state.hooks.append(cast(Any, module).register_load_state_dict_pre_hook(_refuse_loading))


def _refuse_save(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401
    fix = "call unload(model, rank) first, or save adapter_state(model)"
    raise InputError("model", "without adapters for save_pretrained", "an adapted one", fix)


def _refuse_training(layer: nn.Module, args: Any) -> None:  # noqa: ANN401
    merged = cast(AdaptedLayer, layer).state.merged_rank
    if merged is not None and layer.training and torch.is_grad_enabled():
        fix = "call unmerge(model), or model.eval() where nothing is trained"
        raise InputError("model", "unmerged in training", f"merged at {merged}", fix)


def _refuse_state(layer: AdaptedLayer, prefix: str, keep_vars: bool) -> None:
    if layer.state.merged_rank is not None:
        fix = "call unmerge(model), or unload(model, rank) for a plain model"
        raise InputError("model", "unmerged for state_dict", f"merged at {layer.state.merged_rank}", fix)


def _refuse_loading(module: nn.Module, *args: Any) -> None:  # noqa: ANN401
    merged = adapted_layers(module)[0].state.merged_rank
    if merged is not None:
        fix = "call unmerge(model) first"
        raise InputError("model", "unmerged for load_state_dict", f"merged at {merged}", fix)


def _check_weights(model: nn.Module, layers: list[AdaptedLayer]) -> None:
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    for layer in layers:
        own = dict(layer.base_layer.named_parameters(recurse=False))
        if "weight" not in own and isinstance(getattr(layer.base_layer, "weight", None), Tensor):
            given = f"that of {type(layer.base_layer).__name__}, which is computed from others (parametrised)"
            raise InputError("model", "of weights that are parameters", given, "use it unmerged")
        if "weight" not in own or not own["weight"].is_floating_point():
            raise InputError("model", "of floating-point weights", "quantised ones", "use it unmerged")
        if owners[id(own["weight"])] > 1:
            raise InputError("model", "without tied weights among the adapted", "a shared one", "use it unmerged")
