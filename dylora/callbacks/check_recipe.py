"""Options of the rank sampling that do not go together, or not with a module."""

from typing import TYPE_CHECKING

from dylora.adapters.active_rank import rank_state
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule

if TYPE_CHECKING:
    from dylora.callbacks.rank_sampling import RankSamplingCallback

_PER_ROW = ("mixed", "half_batch")
_DYLORA = "set rank_sampling.recipe to dylora"


def check_options(sampling: "RankSamplingCallback") -> None:
    """Refuse options that do not go together.

    Raises:
        InputError: Naming the first of them.
    """
    sorts = sampling.polish.sort_at is not None
    objective = sampling.polish.objective if sorts else sampling.objective
    if sampling.frozen and objective == "summation":
        fix = "use objective: individual with it"
        raise InputError("rank_sampling.frozen", "false with the summation loss", sampling.frozen, fix)
    if sampling.frozen and (objective in _PER_ROW or sorts or sampling.compensation > 1):
        allowed = "false with a rank for each row, a sort or compensation"
        fix = _DYLORA if sampling.recipe == "sorted" else "use objective: individual alone with it"
        raise InputError("rank_sampling.frozen", allowed, sampling.frozen, fix)
    if sorts and sampling.objective != "individual":
        fix = f"{_DYLORA}, or polish.objective, that of the steps after the sort"
        raise InputError("rank_sampling.objective", "left out with polish.sort_at", sampling.objective, fix)
    if sampling.distillation.weight and objective == "summation":
        fix = "use objective: mixed, which has the same expected gradient"
        raise InputError("rank_sampling.distillation.weight", "0 with summation", sampling.distillation.weight, fix)
    if not 1 <= sampling.compensation <= 1000:
        raise InputError("rank_sampling.compensation", "from 1 to 1000", sampling.compensation, "1 switches it off")
    if sampling.seed < 0:
        raise InputError("rank_sampling.seed", "0 or larger", sampling.seed, "choose another seed")


def check_recipe(sampling: "RankSamplingCallback", module: EveryRankModule) -> None:
    """Refuse options that a module cannot be trained with.

    Raises:
        InputError: Naming the first of them.
    """
    sorts, decay = sampling.polish.sort_at is not None, sampling.ordered_decay
    used = {
        "ordered_decay": bool(decay.in_loss or decay.decoupled),
        "polish": sorts,
        "distillation": bool(sampling.distillation.weight),
        "compensation": sampling.compensation > 1,
    }
    if not module.method.has_adapters and any(used.values()):
        name = next(name for name, is_used in used.items() if is_used)
        given = f"on with method {module.method.name}"
        raise InputError(f"rank_sampling.{name}", "left out for a model without adapters", given, "leave it out")
    polishes = sorts and sampling.polish.sort_at != 1
    objective = sampling.polish.objective if polishes else sampling.objective
    if objective in _PER_ROW and module.optimizer_name == "row_exact_adamw":
        given = f"row_exact_adamw with a rank for each row ({objective})"
        fix = "set it to adamw: such a step trains all rows of the factors"
        fix += f"; or {_DYLORA}" if sampling.recipe == "sorted" else ""
        raise InputError("model.optimizer", "adamw", given, fix)
    scaling = rank_state(module.model).config.scaling
    if sorts and scaling != "alpha/max_rank":
        fix = "set it to alpha/max_rank, with which sorted components are the best part of the largest rank"
        fix += f"; or {_DYLORA}" if sampling.recipe == "sorted" else ""
        raise InputError("model.adapter.scaling", "alpha/max_rank with polish.sort_at", scaling, fix)
    ranks = rank_state(module.model).config.ranks
    if sorts and not module.validates_every_rank and module.epoch_ranks == (ranks.max_rank,):
        given = f"{ranks.max_rank} with a sort: an epoch before it, useless at lower ranks, could be the best"
        fix = f"add a lower one, as {ranks.min_rank},{ranks.max_rank}"
        raise InputError("model.epoch_ranks", "ranks below the largest too", given, fix)
    if sorts and sampling.polish.sort_by != "svd" and module.outcome_kind is None:
        given = f"{sampling.polish.sort_by} for {type(module).__name__}, which has no outcome_kind"
        fix = "set it to svd, or give the module outcome_kind and outputs_of"
        raise InputError("rank_sampling.polish.sort_by", "svd for outputs of unknown kind", given, fix)
    if used["distillation"] and sampling.distillation.loss == "kl" and module.output_kind == "score":
        fix = "set it to mse: a score has no class probabilities"
        raise InputError("rank_sampling.distillation.loss", "mse for a regression", "kl", fix)
