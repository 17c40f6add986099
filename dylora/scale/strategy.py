"""A strategy of Lightning's trainer for backbones that do not fit into one device."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from dylora.adapters.active_rank import rank_state
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.scale.blocks import shard
from dylora.scale.rounds import Rounds


class ShardedBackbone(DDPStrategy):
    """The frozen blocks of the backbone are spread over the processes (FSDP2); all that is trained is whole in each.

    Adapters, head and moments are small and are trained as under DDP: the same recipes, checkpoints, resumption and
    figures. Embeddings and heads of the backbone stay whole in each process as well. Each process loads the whole
    backbone into its main memory first. An evaluation may have any number of examples in each process.
    """

    _rounds: Rounds

    @override
    def setup(self, trainer: Trainer) -> None:
        """Spread the backbone.

        Raises:
            InputError: If the module cannot be trained so.
        """
        module, device = _checked(self.lightning_module), self.root_device
        self._rounds = Rounds(shard(module.model, device, self.world_size), device)
        module.await_others = self._rounds.finish
        for loop in (trainer.fit_loop.epoch_loop.val_loop, trainer.validate_loop, trainer.test_loop):
            loop.inference_mode = False  # FSDP2 would keep tensors that training cannot use
        trainer.predict_loop.inference_mode = False
        super().setup(trainer)

    @override
    def training_step(self, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """All processes run the same blocks in the same order."""
        with self._rounds.closed():
            return super().training_step(*args, **kwargs)

    @override
    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        """All processes run the same blocks in the same order."""
        with self._rounds.closed():
            return super().backward(closure_loss, optimizer, *args, **kwargs)


def _checked(module: object) -> EveryRankModule:
    fix = "take --trainer.strategy ddp"
    if not isinstance(module, EveryRankModule) or not module.method.has_adapters:
        allowed = "ddp where nothing of the backbone is frozen"
        given = module.method.name if isinstance(module, EveryRankModule) else type(module).__name__
        raise InputError("--trainer.strategy", allowed, f"ShardedBackbone with {given}", fix)
    if module.identity["backbone"].get("quantization"):
        raise InputError("--trainer.strategy", "ddp for a quantised backbone", "ShardedBackbone", fix)
    if rank_state(module.model).compiled:
        raise InputError("model.compile", "false with ShardedBackbone", "true", "leave one of them out")
    return module
