"""`dylora.load` and `load_from_checkpoint` of what `fit` wrote."""

import shutil

import pytest
import tiny
import torch
from lightning.pytorch import Trainer

import dylora
from dylora import DyLoRAConfig, InputError
from dylora.cli import main
from dylora.data.glue import GLUEDataModule
from dylora.data.sources.glue import source_for
from dylora.modules.base import EveryRankModule
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule
from dylora.runs.checkpoints import read_checkpoint
from dylora.tasks import get_task

pytestmark = pytest.mark.slow


@pytest.fixture
def run(trained):
    return trained / "logs/restaurants/version_0"


def _data(trained, backbone):
    options = {"max_length": 24, "cache_dir": str(trained / "cache")}
    data = GLUEDataModule("restaurants", backbone=backbone, predict_split="validation", **options)
    data.prepare_data()
    data.setup("predict")
    return data


def test_a_loaded_run_predicts_what_validate_counts_at_every_rank(run, trained, backbone):
    rows = source_for(get_task("restaurants"), None).rows("validation")
    loaded = dylora.load(run)
    module = SequenceClassificationModule.load_from_checkpoint(run / "checkpoints/best.ckpt")
    data = _data(trained, backbone)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.validate(module, dataloaders=data.predict_dataloader(), verbose=False)
    curve = module.results["accuracy"]
    assert sorted(curve) == [1, 2, 3, 4]
    for rank in curve:
        answers = loaded.set_rank(rank)(rows["sentence1"][:], rows["sentence2"][:])
        right = [loaded.labels.index(a["label"]) == label for a, label in zip(answers, rows["labels"], strict=True)]
        assert sum(right) / len(right) == pytest.approx(curve[rank])


def test_the_probabilities_are_those_of_predict(run, trained, backbone):
    loaded = dylora.load(run, rank=2)
    module = SequenceClassificationModule.load_from_checkpoint(run / "checkpoints/best.ckpt").eval()
    module.eval_ranks = (2,)
    data = _data(trained, backbone)
    batch = next(iter(data.predict_dataloader()[0]))
    with torch.no_grad():
        records = module.predict_step(batch, 0)
    rows = source_for(get_task("restaurants"), None).rows("validation").select([r["index"] for r in records])
    answers = loaded(rows["sentence1"][:], rows["sentence2"][:])
    for record, answer in zip(records, answers, strict=True):
        assert answer["probabilities"] == pytest.approx(record["ranks"]["2"]["probabilities"], abs=1e-6)


def test_one_sentence_pair_gives_one_answer(run):
    loaded = dylora.load(run, rank=3)
    answer = loaded("the food was good", "they liked it")
    assert set(answer["probabilities"]) == set(loaded.labels) == {"entailment", "not_entailment"}
    assert answer == loaded(["the food was good"], ["they liked it"])[0]
    assert loaded([]) == []


def test_a_run_can_be_saved_as_a_folder_and_gives_the_same(run, tmp_path):
    loaded = dylora.load(run)
    again = dylora.load(dylora.save(loaded, tmp_path / "kept"))
    assert again.labels == loaded.labels
    for rank in loaded.ranks:
        pair = ("the food was good", "they liked it")
        assert again.set_rank(rank)(*pair) == loaded.set_rank(rank)(*pair)


def test_load_from_checkpoint_needs_nothing_else_and_takes_overrides(run):
    path = run / "checkpoints/best.ckpt"
    module = EveryRankModule.load_from_checkpoint(path, eval_rows=7)
    assert type(module) is SequenceClassificationModule
    assert (module.eval_rows, module.learning_rate) == (7, 1e-2)
    state = read_checkpoint(path)["state_dict"]
    own = module.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in state.items())
    with pytest.raises(InputError, match="trained with max_rank 8, got max_rank 4"):
        SequenceClassificationModule.load_from_checkpoint(path, adapter=DyLoRAConfig(max_rank=8))
    with pytest.raises(InputError, match=r"SequenceClassificationModule.load_from_checkpoint"):
        GenerationModule.load_from_checkpoint(path)


def test_the_checkpoint_says_nothing_that_lightning_would_take_over_the_command_line(run):
    content = read_checkpoint(run / "checkpoints/best.ckpt")
    assert "hyper_parameters" not in content
    entry = content["dylora"]
    assert entry["format"] == 2
    assert entry["labels"] == ["entailment", "not_entailment"]
    assert entry["limits"] == {"max_length": 24}
    assert entry["text_form"] == {}
    options = entry["module"]["init_args"]
    assert options["adapter"]["init_args"]["dropout"] == 0.1
    assert entry["module"]["class_path"].endswith(".SequenceClassificationModule")


def _of_format_1(run, folder, with_config=True):
    (folder / "checkpoints").mkdir(parents=True)
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    entry = {k: v for k, v in content["dylora"].items() if k not in ("module", "labels", "limits", "text_form")}
    del content["digests"]
    torch.save({**content, "dylora": {**entry, "format": 1}}, folder / "checkpoints/best.ckpt")
    if with_config:
        shutil.copy(run / "config.yaml", folder)
    return folder


def test_a_file_of_format_1_is_read_with_its_runs_configuration(run, tmp_path):
    older = dylora.load(_of_format_1(run, tmp_path / "old"))
    pair = ("the food was good", "they liked it")
    assert older(*pair) == dylora.load(run)(*pair)
    with pytest.raises(InputError, match=r"put its run's config.yaml there"):
        dylora.load(_of_format_1(run, tmp_path / "bare", with_config=False) / "checkpoints/best.ckpt")


def test_unusable_places_are_refused_in_a_line(run, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        dylora.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"a folder with dylora.json, got .*, which holds nothing"):
        dylora.load(tmp_path / "empty")
    shutil.copytree(run, tmp_path / "early", ignore=shutil.ignore_patterns("*.ckpt"))
    with pytest.raises(InputError, match=r"a run with a checkpoint, got .*early', which has none"):
        dylora.load(tmp_path / "early")
    with pytest.raises(InputError, match="from 1 to max_rank 4, got 5"):
        dylora.load(run, rank=5)
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes((run / "checkpoints/best.ckpt").read_bytes()[:2000])
    with pytest.raises(InputError, match="corrupt, truncated"):
        dylora.load(broken)
    with pytest.raises(InputError, match="nowhere"):
        dylora.load(run, backbone=str(tmp_path / "nowhere"))


def test_the_backbone_may_have_moved(run, backbone, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(backbone, moved)
    pair = ("the food was good", "they liked it")
    folder = dylora.save(dylora.load(run, backbone=str(moved)), tmp_path / "kept")
    shutil.rmtree(moved)
    with pytest.raises(InputError, match=r"of a backbone that can be loaded, got .*moved"):
        dylora.load(folder)
    assert dylora.load(folder, backbone=backbone)(*pair) == dylora.load(run)(*pair)


def test_a_whole_model_is_loaded_from_its_run_and_not_saved_as_an_adapter(backbone, tmp_path):
    main(["fit", *tiny.options(backbone, tmp_path), "--model.method=FLOP", "--trainer.max_epochs=1"])
    loaded = dylora.load(tmp_path / "logs/restaurants/version_0")
    assert loaded.ranks == (4,)
    assert 0 < loaded("the food was good", "they liked it")["probabilities"]["entailment"] < 1
    with pytest.raises(InputError, match="trained whole"):
        dylora.save(loaded, tmp_path / "kept")
