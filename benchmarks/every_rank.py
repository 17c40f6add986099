"""Evaluation and generation at several ranks beside as many runs at one rank, and what evaluation takes of an epoch.

    python benchmarks/every_rank.py
    python benchmarks/every_rank.py --quick

Three tables, each with its ratio; all ways run the same rows in turns.

- A batch of 16 sentences of 128 tokens at 8 ranks, of the shape of a RoBERTa-base with 4 layers: as dylora does, all
  ranks in one forward, and 8 runs at one rank.
- 4 prompts of 64 tokens continued by 24 tokens at 4 ranks with 4 beams, of the shape of a GPT-2 with 4 layers: as
  dylora does, and 4 runs at one rank by transformers alone, which runs each prompt once a beam.
- One epoch of the embedded entailment task with the tiny backbone: the share of its time that is validation, at all 8
  ranks and at ranks 1 and 8 (`--model.epoch_ranks 1,8`).
"""

import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import timing
import torch
from lightning.pytorch import Callback, Trainer
from transformers import GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForSequenceClassification

from dylora.adapters.active_rank import use_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.quiet import quiet
from dylora.data.glue import GLUEDataModule
from dylora.decoding import DecodingConfig, generate_at_ranks
from dylora.modules import stacked_ranks
from dylora.modules.classification import SequenceClassificationModule

Run = Callable[[], object]


def evaluation(quick: bool) -> dict[str, Run]:
    """A batch of sentences at 8 ranks."""
    rows, tokens, width, layers = (4, 16, 32, 1) if quick else (16, 128, 768, 4)
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 16}
    config = RobertaConfig(vocab_size=1000, intermediate_size=4 * width, max_position_embeddings=514, **shape)
    with tempfile.TemporaryDirectory() as folder:
        RobertaForSequenceClassification(config).save_pretrained(folder)
        module = SequenceClassificationModule(backbone=folder, adapter=DyLoRAConfig(max_rank=8)).eval()
    ids = torch.randint(5, 800, (rows, tokens), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.zeros(rows, dtype=torch.long)}

    @torch.no_grad()
    def every_rank() -> None:
        assert len(list(module.outputs_at_ranks(batch))) == 8

    def in_one_forward() -> None:
        with mock.patch.object(stacked_ranks, "_TOKENS", {}):
            every_rank()

    @torch.no_grad()
    def one_by_one() -> None:
        for rank in range(1, 9):
            with use_rank(module.model, rank):
                module.losses_of(batch, 1)

    return {"as dylora does": every_rank, "one forward": in_one_forward, "8 x one rank": one_by_one}


def generation(quick: bool) -> dict[str, Run]:
    """A batch of prompts continued at 4 ranks with 4 beams."""
    rows, tokens, new, width, layers = (2, 8, 4, 32, 1) if quick else (4, 64, 24, 768, 4)
    config = GPT2Config(
        vocab_size=5000,
        n_embd=width,
        n_layer=layers,
        n_head=width // 16,
        n_positions=128,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = adapt(GPT2LMHeadModel(config), DyLoRAConfig(max_rank=4)).eval()
    ids = torch.randint(5, 800, (rows, tokens), generator=torch.Generator().manual_seed(0))
    mask, decoding = torch.ones_like(ids), DecodingConfig(num_beams=4, max_new_tokens=new, length_penalty=0.9)

    def every_rank() -> None:
        generate_at_ranks(model, ids, mask, (1, 2, 3, 4), decoding, (0,), 0)

    def rank_by_rank() -> None:
        for rank in range(1, 5):
            generate_at_ranks(model, ids, mask, (rank,), decoding, (0,), 0)

    @torch.no_grad()
    def transformers_alone() -> None:
        settings = decoding.settings(eos_token_id=0, pad_token_id=0)
        for rank in range(1, 5):
            with use_rank(model, rank):
                model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)

    return {"as dylora does": every_rank, "rank by rank": rank_by_rank, "4 x one rank": transformers_alone}


class Clock(Callback):
    """Adds up the time of training and that of its validations."""

    def __init__(self) -> None:
        self.training = self.validation = 0.0
        self._begin = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:  # noqa: ANN401
        """The epoch begins."""
        self._begin = time.process_time()

    def on_validation_start(self, *_: Any) -> None:  # noqa: ANN401
        """Training is interrupted."""
        self.training += time.process_time() - self._begin
        self._begin = time.process_time()

    def on_validation_end(self, *_: Any) -> None:  # noqa: ANN401
        """Training goes on."""
        self.validation += time.process_time() - self._begin
        self._begin = time.process_time()


def share_of_an_epoch(epoch_ranks: str, quick: bool) -> float:
    """The share of an epoch's time that its validation takes."""
    module = SequenceClassificationModule(adapter=DyLoRAConfig(max_rank=8), epoch_ranks=epoch_ranks)
    clock = Clock()
    trainer = Trainer(
        max_epochs=1,
        callbacks=[RankSamplingCallback("dylora"), clock],
        logger=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tempfile.gettempdir(),
        accelerator="cpu",
        **({"limit_train_batches": 2, "limit_val_batches": 1} if quick else {}),
    )
    trainer.fit(module, GLUEDataModule("restaurants"))
    return clock.validation / (clock.training + clock.validation)


def main() -> None:
    """Parse the command line, measure, print."""
    options = timing.parser(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    quiet()
    turns = 1 if options.quick else options.repetitions
    for name, ways, last in (("evaluation", evaluation, "8 x one rank"), ("generation", generation, "4 x one rank")):
        print(f"\n{name} at several ranks")
        timing.show(timing.medians(ways(options.quick), turns), "s", ("as dylora does", last))
    print("\nshare of an epoch that is validation")
    shares = {ranks: share_of_an_epoch(ranks, options.quick) for ranks in ("all", "1,8")}
    timing.show(shares, "of its time", ("1,8", "all"))


if __name__ == "__main__":
    main()
