"""What all data modules share."""

from types import SimpleNamespace

import pytest
from datasets import Dataset

import dylora.data
from dylora.data.base import CachedDataModule, LoaderDataModule, Part
from dylora.errors import InputError


class Numbers(CachedDataModule):
    """Rows that hold nothing but their number; `predict` goes over two splits."""

    def __init__(self, **options):
        super().__init__(**options)
        self.name = "numbers"
        self.made = []

    def parts(self, stage):
        if stage == "test":
            raise InputError("test", "validate", "test", "run validate")
        found = {
            "fit": (Part("train"), Part("validation", "long"), Part("validation", "short")),
            "validate": (Part("validation", "long"), Part("validation", "short")),
            "predict": (Part("b"), Part("a")),
        }
        return found[stage]

    def cache_key(self, part):
        return (str(part),)

    def make_rows(self, part):
        self.made.append(str(part))
        size = 3 if part.form == "short" else 6
        columns = {"index": list(range(size)), "length": [1 + row % 3 for row in range(size)]}
        return Dataset.from_dict({**columns, "truncated": [False] * size})

    def collator(self, part):
        return lambda rows: [row["index"] for row in rows]


@pytest.fixture
def make(tmp_path):
    return lambda **options: Numbers(cache_dir=str(tmp_path), **options)


def trainer(stage="fit", world_size=1, rank=0, done=0):
    progress = SimpleNamespace(current=SimpleNamespace(ready=done))
    return SimpleNamespace(
        world_size=world_size,
        global_rank=rank,
        state=SimpleNamespace(fn=stage),
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )


def test_without_a_trainer_there_is_one_process_at_the_start(make):
    assert (make().processes(), make().batches_done()) == ((1, 0), 0)


def test_with_a_trainer_its_processes_and_its_count_are_taken(make):
    module = make()
    module.trainer = trainer(world_size=4, rank=3, done=7)
    assert (module.processes(), module.batches_done()) == ((4, 3), 7)


def test_a_split_with_several_parts_is_named_once_and_the_order_is_that_of_the_loaders(make):
    module = make()
    assert module.split_names("fit") == ("train", "validation")
    assert module.split_names("validate") == ("validation",)
    assert module.split_names("predict") == ("b", "a")


def test_preparation_makes_what_its_stage_needs_and_setup_reads_it(make, tmp_path):
    first = make()
    first.trainer = trainer("validate")
    first.prepare_data()
    assert first.made == ["validation-long", "validation-short"]
    second = make()
    second.setup("fit")
    assert second.made == ["train"]
    assert sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir()) == [
        "numbers-train-v1",
        "numbers-validation-long-v1",
        "numbers-validation-short-v1",
    ]


def test_each_part_has_a_loader_from_long_to_short_without_the_notes_on_rows(make):
    module = make(eval_batch_size=4)
    module.setup("validate")
    loaders = module.val_dataloader()
    assert [list(loader) for loader in loaders] == [[[2, 5, 1, 4], [0, 3]], [[2, 1, 0]]]
    assert loaders[0].dataset.column_names == ["index"]


def test_a_resumed_epoch_goes_on_behind_the_batches_that_are_done(make):
    module = make(train_batch_size=2)
    module.setup("fit")
    module.trainer = trainer()
    whole = list(module.train_dataloader())
    module.trainer = trainer(done=2)
    assert list(module.train_dataloader()) == whole[2:]


def test_a_stage_that_the_data_cannot_serve_is_refused_by_every_way_to_it(make):
    for way in (make().split_names, make().setup):
        with pytest.raises(InputError, match=r"^test: must be validate, got test; run validate$"):
            way("test")


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("train_batch_size", 0, 1), ("eval_batch_size", -4, 1), ("num_workers", -1, 0)],
)
def test_numbers_out_of_range_are_refused(make, option, value, least):
    with pytest.raises(InputError) as caught:
        make(**{option: value})
    assert str(caught.value) == f"data.{option}: must be at least {least}, got {value}; give a larger number"


@pytest.mark.parametrize("name", dylora.data.__all__)
def test_every_data_module_is_found_in_one_place(name):
    assert issubclass(getattr(dylora.data, name), LoaderDataModule)
    with pytest.raises(AttributeError, match="has no attribute 'XSumDataModule'"):
        dylora.data.XSumDataModule  # noqa: B018
