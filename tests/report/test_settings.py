"""Table 8 from the runs' own configurations."""

import pytest
import yaml

from dylora.report.results import read_results
from dylora.report.settings import settings_table

CONFIG = {
    "seed_everything": 10,
    "model": {"optimizer": "adamw", "learning_rate": 4e-4, "adapter": {"max_rank": 8}},
    "data": {"max_length": 512},
}


def test_settings_stand_beside_the_papers(save_run, tmp_path):
    save_run("dylora", "mrpc", 10, {"f1": {1: 0.5}}, config=yaml.safe_dump(CONFIG))
    other = {**CONFIG, "seed_everything": 42, "data": {"max_length": 128}}
    save_run("dylora", "mrpc", 42, {"f1": {1: 0.5}}, config=yaml.safe_dump(other))
    table = settings_table(read_results([tmp_path], "8", "last")[0])
    rows = {row[1]: row[2:] for row in table.rows}
    assert table.heads == ["Model", "Setting", "Paper", "DyLoRA"]
    assert {row[0] for row in table.rows} == {"RoBERTa-base"}  # no run on text
    assert rows["Learning Rate (LR)"] == ["4e-4", "0.0004"]
    assert rows["Max Sequence Length"] == ["512", "128, 512"]
    assert rows["Seeds"] == ["10, 42, 4242, 10, 1010", "10, 42"]
    assert rows["Weight Decay"] == ["0.1", "—"]


OLD = {**CONFIG, "set": "e2e"}
NEW = {
    **CONFIG,
    "model": {"class_path": "dylora.modules.generation.GenerationModule", "init_args": CONFIG["model"]},
    "data": {"class_path": "dylora.data.table_to_text.E2EDataModule", "init_args": CONFIG["data"]},
}


@pytest.mark.parametrize("config", [OLD, NEW], ids=["set", "class"])
def test_runs_on_text_stand_beside_gpt_2s(save_run, tmp_path, config):
    save_run("dylora", "e2e", 10, {"bleu": {1: 0.5}}, config=yaml.safe_dump(config))
    table = settings_table(read_results([tmp_path], "8", "last")[0])
    assert {row[0] for row in table.rows} == {"GPT-2 Medium"}
    assert {row[1]: row[3] for row in table.rows}["Learning Rate (LR)"] == "0.0004"
