"""Train with a recipe in two processes, half of each batch in each; the first one writes what was trained.

Arguments: folder of the backbone, number of processes, name of the recipe, the file to write. Each process prints the
ranks of its rows.
"""

import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader, DistributedSampler

from dylora.adapters.active_rank import rank_state
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.optim import parameter_groups
from dylora.callbacks.ordered_decay import OrderedDecay
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.callbacks.sort_and_polish import SortAndPolish
from dylora.modules.classification import SequenceClassificationModule

RECIPES = {
    "mixed": {"objective": "mixed", "ordered_decay": OrderedDecay(in_loss=1e-2)},
    "polish": {"polish": SortAndPolish(sort_at=0.5, examples=8, order_steps=2)},
}
ROWS = 8  # of a step, over all processes


class Descending(SequenceClassificationModule):
    """Trained by plain gradient descent: Adam would enlarge what rounding leaves of a gradient of zero."""

    def configure_optimizers(self):
        return torch.optim.SGD(parameter_groups(self.model, 0.0), lr=0.05)

    def train_dataloader(self):
        """The rows in their order, to the processes in turn; Lightning's own sampler would shuffle them."""
        rows = [
            {"input_ids": torch.arange(5, 11) + i, "attention_mask": torch.ones(6, dtype=torch.long), "labels": i % 2}
            for i in range(24)
        ]
        processes = self.trainer.world_size
        sampler = DistributedSampler(rows, processes, self.trainer.global_rank, shuffle=False)
        return DataLoader(rows, batch_size=ROWS // processes, sampler=sampler)


class Ranks(Callback):
    """Prints the ranks of the rows of every batch, one write a line: the processes share their standard output."""

    def on_train_batch_end(self, trainer, pl_module, *_):
        rank = rank_state(pl_module.model).rank
        ranks = rank.tolist() if isinstance(rank, torch.Tensor) else [rank] * (ROWS // trainer.world_size)
        os.write(1, f"{trainer.global_step} {trainer.global_rank} {ranks}\n".encode())


def main(backbone, processes, recipe, path):
    warnings.simplefilter("ignore")  # Lightning's advice
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = Descending("restaurants", backbone, DyLoRAConfig(max_rank=4))
    for name, parameter in module.named_parameters():  # at zero, rounding decides about the first steps
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    several = {"strategy": "ddp", "devices": processes} if processes > 1 else {}
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[RankSamplingCallback("dylora", **RECIPES[recipe]), Ranks()],
        **several,
    )
    trainer.fit(module)
    if trainer.is_global_zero:
        torch.save({name: p.detach() for name, p in module.named_parameters() if p.requires_grad}, path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
