"""The data module: splits, batches and their order, notes, bad input."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from dylora.data import glue, sentence_task
from dylora.data.glue import GLUEDataModule
from dylora.errors import InputError

HEADERS = {
    "rte": "index\tsentence1\tsentence2\tlabel\n",
    "stsb": "sentence1\tsentence2\tscore\n",
    "mnli": "index\tsentence1\tsentence2\tgold_label\n",
}


def rte_row(i, labelled=True):
    words = " ".join(["w5"] * (1 + i * 7 % 23))
    label = "\tentailment" if i % 3 else "\tnot_entailment"
    return f"{i}\tw{i % 100} {words}\tw9{label * labelled}\n"


@pytest.fixture
def glue_folder(tmp_path):
    """RTE with 100 training, 11 validation and 5 test rows; STS-B with 3; MNLI without mismatched files."""
    files = {
        "RTE/train.tsv": HEADERS["rte"] + "".join(rte_row(i) for i in range(100)),
        "RTE/dev.tsv": HEADERS["rte"] + "".join(rte_row(i) for i in range(11)),
        "RTE/test.tsv": "index\tsentence1\tsentence2\n" + "".join(rte_row(i, labelled=False) for i in range(5)),
        "STS-B/train.tsv": HEADERS["stsb"] + "w1\tw2\t3.25\nw1\tw2 w3\t0.0\nw4\tw2\t5\n",
        "STS-B/dev.tsv": HEADERS["stsb"] + "w1\tw2\t1.5\n",
        "MNLI/dev_matched.tsv": HEADERS["mnli"] + "0\tw1\tw2\tneutral\n1\tw1\tw2\tcontradiction\n",
        "MNLI/test_matched.tsv": "index\tsentence1\tsentence2\n0\tw1\tw2\n",
    }
    for name, content in files.items():
        path = tmp_path / "glue" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "glue"


@pytest.fixture
def make(word_tokenizer, glue_folder, tmp_path):
    def module(task="rte", **kwargs):
        folder = None if task == "restaurants" else str(glue_folder)
        given = {"data_dir": folder, "backbone": str(word_tokenizer), "cache_dir": str(tmp_path / "cache")}
        return GLUEDataModule(task, **(given | kwargs))

    return module


@pytest.fixture
def notes(monkeypatch):
    lines = []
    for place in (glue, sentence_task):
        monkeypatch.setattr(place, "rank_zero_info", lines.append)
    return lines


def place(module, rank, world_size):
    progress = SimpleNamespace(
        epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=0)))
    )
    state = SimpleNamespace(fn="fit")
    processes = {"world_size": world_size, "global_rank": rank, "progress_bar_callback": None}
    module.trainer = SimpleNamespace(**processes, state=state, fit_loop=progress)


def test_training_batches_hold_tensors_of_one_width(make):
    module = make(train_batch_size=8)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [8] * 12 + [4]
    for batch in batches:
        rows, width = batch["input_ids"].shape
        assert batch["attention_mask"].shape == (rows, width)
        assert batch["attention_mask"].sum(1).max() == width
        assert batch["labels"].shape == batch["index"].shape == (rows,)
        assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
        assert not {"length", "truncated"} & set(batch)
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(100))


def test_index_names_the_row(make):
    module = make()
    module.setup("fit")
    for batch in module.train_dataloader():
        for index, ids, label in zip(batch["index"], batch["input_ids"], batch["labels"], strict=True):
            assert ids[1] == 4 + index  # The row's first word is w<index>, whose id is 4 + index.
            assert label == (0 if index % 3 else 1)


def test_training_order_depends_on_seed_and_epoch_alone(make):
    def order(module, epoch):
        loader = module.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return torch.cat([batch["index"] for batch in loader]).tolist()

    first, second, other = make(), make(), make(seed=11)
    for module in (first, second, other):
        module.setup("fit")
    assert order(first, 1) == order(first, 1) == order(second, 1)
    assert order(first, 1) != order(first, 2)
    assert order(first, 1) != order(other, 1)


def test_loading_draws_nothing_from_the_global_generator(make):
    module = make()
    module.setup("fit")
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    list(module.train_dataloader())
    list(module.val_dataloader()[0])
    assert torch.equal(torch.rand(2), expected)


def test_validation_goes_from_long_to_short_over_every_row(make):
    module = make(eval_batch_size=4)
    module.setup("validate")
    (loader,) = module.val_dataloader()
    batches = list(loader)
    lengths = torch.cat([batch["attention_mask"].sum(1) for batch in batches])
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(11))


def test_processes_get_disjoint_shares(make):
    training, validation = [], []
    for rank in range(3):
        module = make(train_batch_size=8, eval_batch_size=4)
        module.setup("fit")
        place(module, rank, 3)
        training.append(torch.cat([batch["index"] for batch in module.train_dataloader()]).tolist())
        validation.append(torch.cat([batch["index"] for batch in module.val_dataloader()[0]]).tolist())
    assert [len(share) for share in training] == [34, 34, 34]
    assert len(set(sum(training, start=[]))) == 100  # noqa: RUF017
    assert sorted(row for share in validation for row in share) == list(range(11))


def test_scores_are_float_labels(make):
    module = make("stsb")
    module.setup("fit")
    (batch,) = module.train_dataloader()
    assert batch["labels"].dtype == torch.float32
    assert sorted(batch["labels"].tolist()) == [0.0, 3.25, 5.0]


def test_unlabelled_rows_bring_no_labels(make):
    module = make()
    module.setup("predict")
    (loader,) = module.predict_dataloader()
    (batch,) = loader
    assert set(batch) >= {"input_ids", "attention_mask", "index"}
    assert "labels" not in batch
    assert sorted(batch["index"].tolist()) == [0, 1, 2, 3, 4]


def test_prediction_over_validation_keeps_labels(make):
    module = make(predict_split="validation")
    module.setup("predict")
    assert module.split_names("predict") == ("validation",)
    assert len(next(iter(module.predict_dataloader()[0]))["labels"]) == 11


def test_the_embedded_task_has_a_labelled_test_split(make):
    module = make("restaurants", eval_batch_size=500)
    module.setup("test")
    (loader,) = module.test_dataloader()
    (batch,) = loader
    assert sorted(batch["index"].tolist()) == list(range(500))
    assert set(batch["labels"].tolist()) == {0, 1}


@pytest.mark.parametrize("task", ["rte", "mnli", "stsb"])
def test_test_without_public_labels_is_refused(make, task):
    with pytest.raises(InputError) as caught:
        make(task).setup("test")
    assert str(caught.value) == (
        "test: must be validate or predict (the labels of GLUE's test sets are not public), "
        f"got test with the task {task}; run validate, or predict --submission DIR for the leaderboard's files"
    )


def test_split_names_of_the_stages(make):
    module = make()
    assert module.split_names("fit") == ("train", "validation")
    assert module.split_names("validate") == ("validation",)
    assert module.split_names("predict") == ("test",)


def test_mnli_has_two_loaders_in_the_order_of_its_splits(make, glue_folder, notes):
    content = HEADERS["mnli"] + "0\tw1\tw2\tentailment\n"
    (glue_folder / "MNLI" / "dev_mismatched.tsv").write_text(content)
    module = make("mnli")
    module.setup("validate")
    assert module.split_names("validate") == ("validation_matched", "validation_mismatched")
    assert [len(loader.dataset) for loader in module.val_dataloader()] == [2, 1]
    assert notes == []


def test_mnli_with_the_matched_files_alone_says_so(make, notes):
    module = make("mnli")
    module.setup("validate")
    module.setup("predict")
    assert [len(loader.dataset) for loader in module.val_dataloader()] == [2]
    assert [len(loader.dataset) for loader in module.predict_dataloader()] == [1]
    assert notes == [
        "MNLI: there is no mismatched file beside validation_matched, the matched one is used alone",
        "MNLI: there is no mismatched file beside test_matched, the matched one is used alone",
    ]


def test_only_fit_needs_the_training_file(make):
    make("mnli").setup("validate")
    with pytest.raises(InputError, match=r"MNLI/train\.tsv: must be an existing file, got a folder with dev_matched"):
        make("mnli").setup("fit")


def test_truncation_is_told_once_and_only_where_it_happens(make, notes):
    module = make(max_length=10)
    module.setup("fit")
    module.setup("validate")
    # Row i has 5 + (1 + 7 i mod 23) tokens: 10 is passed unless 7 i mod 23 is in 0 ... 4.
    cut = [sum(i * 7 % 23 > 4 for i in range(rows)) for rows in (100, 11)]
    assert notes == [
        f"rte train: cut {cut[0]} of 100 rows at 10 tokens",
        f"rte validation: cut {cut[1]} of 11 rows at 10 tokens",
    ]


def test_nothing_is_told_where_nothing_was_cut(make, notes):
    make(max_length=64).setup("fit")
    assert notes == []


def test_preparation_fills_the_cache_that_setup_reads(make, monkeypatch):
    module = make()
    place(module, 0, 1)
    module.prepare_data()
    fresh = make()
    monkeypatch.setattr(fresh.source, "rows", lambda split: pytest.fail("the rows were read again"))
    fresh.setup("fit")
    assert len(fresh.train_dataloader().dataset) == 100


def test_preparation_for_validation_leaves_training_alone(make):
    module = make("mnli")
    place(module, 0, 1)
    module.trainer.state.fn = "validate"
    module.prepare_data()


@pytest.mark.parametrize(
    ("argument", "value", "least"),
    [("train_batch_size", 0, 1), ("eval_batch_size", -4, 1), ("num_workers", -1, 0)],
)
def test_numbers_out_of_range_are_refused(make, argument, value, least):
    with pytest.raises(InputError, match=rf"data.{argument}: must be at least {least}, got {value};"):
        make(**{argument: value})


def test_unknown_task_is_refused(make):
    with pytest.raises(InputError, match=r"data.task: must be one of rte, mnli, .* got 'wnli'"):
        make("wnli")


def test_unknown_prediction_split_is_refused(make):
    with pytest.raises(InputError, match=r"data.predict_split: must be test or validation, got 'train'"):
        make(predict_split="train")


class Recorder(LightningModule):
    """Trains one number on nothing and notes the rows it saw."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.rows = []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        self.rows.append(batch["index"].tolist())
        return self.weight**2

    def validation_step(self, batch, batch_idx):
        pass


@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec:FutureWarning")  # Lightning's
def test_lightning_sets_the_epoch_and_keeps_the_sampler(make, tmp_path):
    def run():
        recorder = Recorder()
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(recorder, datamodule=make(train_batch_size=16))
        return recorder.rows

    rows = run()
    assert rows == run()
    first, second = sum(rows[:7], start=[]), sum(rows[7:], start=[])  # noqa: RUF017
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


@pytest.mark.slow
def test_worker_processes_give_the_same_batches(make, capfd):
    alone, helped = make(), make(num_workers=1)
    alone.setup("fit")
    helped.setup("fit")
    capfd.readouterr()
    for one, other in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert "huggingface/tokenizers" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("task", "rows"), [("rte", [2490, 277]), ("mrpc", [3668, 408]), ("stsb", [5749, 1500]), ("cola", [8551, 1043])]
)
def test_real_tasks_are_loaded(real_glue, word_tokenizer, tmp_path, task, rows):
    module = GLUEDataModule(task, str(real_glue), backbone=str(word_tokenizer), cache_dir=str(tmp_path))
    module.setup("fit")
    loaders = [module.train_dataloader(), *module.val_dataloader()]
    assert [len(loader.dataset) for loader in loaders] == rows
    assert len(next(iter(loaders[1]))["labels"]) == 32


@pytest.mark.parametrize("task", ["rte", "stsb"])
def test_a_share_of_the_training_rows_validates_and_is_not_trained_on(make, task):
    """The official validation rows stay unseen; both parts together are the training rows."""

    def indices(module):
        module.setup("fit")
        return [set(module.rows(part)["index"][:]) for part in module.parts("fit")]

    trained, validated = indices(make(task, validation_share=0.34, split_seed=3))
    assert trained
    assert validated
    assert not trained & validated
    assert trained | validated == indices(make(task))[0]
    assert indices(make(task, validation_share=0.34, split_seed=3))[1] == validated


def test_held_out_rows_are_a_share_of_each_class(make):
    """66 of 100 rows are entailment: a tenth is 7 (6.6) of them and 3 (3.4) of the others."""
    module = make("rte", validation_share=0.1)
    module.setup("validate")
    assert sorted(module.rows(module.parts("validate")[0])["labels"][:]) == [0] * 7 + [1] * 3


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_a_share_that_leaves_nothing_is_refused(make, share):
    with pytest.raises(InputError, match=r"data.validation_share: must be above 0 and below 1, or null"):
        make("rte", validation_share=share)
