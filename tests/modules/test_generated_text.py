"""Generated texts on TensorBoard."""

import pytest
import tiny_text
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from dylora.adapters.config import DyLoRAConfig
from dylora.metrics.nlg import meteor
from dylora.modules.generated_text import text_table
from dylora.modules.generation import GenerationModule


class Data(LightningDataModule, tiny_text.Restaurants):
    """Five texts to learn, two of them to generate."""

    def __init__(self, generate=2):
        LightningDataModule.__init__(self)
        tiny_text.Restaurants.__init__(self)
        self.generate = generate

    def train_dataloader(self):
        return DataLoader(range(5), batch_size=5, collate_fn=self.teacher_forced)

    def val_dataloader(self):
        generation = DataLoader(range(self.generate), batch_size=1, collate_fn=self.prompts)
        return [self.train_dataloader(), *([generation] if self.generate else [])]


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.setattr(meteor, "is_available", lambda: False)
    folder = tiny_text.save_writer(tmp_path / "writer")
    return GenerationModule(
        backbone=folder, adapter=DyLoRAConfig(max_rank=3), decoding="greedy", max_new_tokens=4, learning_rate=1e-2
    )


@pytest.fixture
def fit(module, tmp_path):
    def run(data):
        logger = TensorBoardLogger(tmp_path, "logs", "run")
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        trainer = Trainer(accelerator="cpu", max_epochs=2, logger=logger, log_every_n_steps=1, **quiet)
        trainer.fit(module, datamodule=data)
        return EventAccumulator(logger.log_dir).Reload()

    return run


def test_every_epoch_shows_the_texts_of_all_ranks_side_by_side(fit, module):
    events = fit(Data())
    shown = events.Tensors("generated/text_summary")
    assert [event.step for event in shown] == [1, 2]
    table = shown[1].tensor_proto.string_val[0].decode()
    assert table == text_table({rank: module.records(rank) for rank in (1, 2, 3)})
    assert len(table.splitlines()) == 2 + 2  # a heading, and the two items that were generated
    header, _, row, _ = table.splitlines()
    assert header == "| input | rank 1 | rank 2 | rank 3 | reference |"
    assert row.startswith("| The Mill &#124; pub | ")
    assert row.endswith(" | The Mill is a pub. |")
    assert {f"val/perplexity/rank_{rank}" for rank in (1, 2, 3)} < set(events.Tags()["scalars"])
    assert {f"val/rouge_l/rank_{rank}" for rank in (1, 2, 3)} < set(events.Tags()["scalars"])
    perplexities = [event.value for event in events.Scalars("val/perplexity/rank_3")]
    assert perplexities[1] < perplexities[0]


def test_without_generation_there_is_no_table(fit):
    events = fit(Data(generate=0))
    assert not [tag for tag in events.Tags()["tensors"] if tag.startswith("generated")]


def test_texts_cannot_break_the_table(module):
    module.bind(tiny_text.Restaurants())
    module.predictions = {1: [{"index": 0, "text": "a | <b>\n\nc"}], 2: [{"index": 0, "text": ""}]}
    assert text_table({rank: module.records(rank) for rank in (1, 2)}).splitlines()[2] == (
        "| The Mill &#124; pub | a &#124; &lt;b&gt; c |  | The Mill is a pub. |"
    )
