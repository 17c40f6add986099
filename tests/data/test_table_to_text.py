"""The shared data module: splits, batches and their order, notes, bad input, the real sets whole."""

import json
from types import SimpleNamespace

import pytest
import real_text
import torch
from word_tokenizers import BEGIN, END, PAD, save_backbone, word_tokenizer

from dylora.data import DARTDataModule, E2EDataModule, RestaurantTextDataModule, WebNLGDataModule, table_to_text
from dylora.errors import InputError


def entry(number, texts):
    """Entry `number` with the triple (w<number>, w50, w60 w60 ...) and its texts."""
    return {"tripleset": [[f"w{number}", "W50", " ".join(["w60"] * (1 + number * 5 % 7))]], "annotations": texts}


def text(*words):
    return {"source": "x", "text": " ".join(words)}


@pytest.fixture
def folder(tmp_path):
    """A set in the layout of DART: 30 entries with two texts for training, 9 for validation, 5 for the test."""
    sizes = {"train": 30, "dev": 9, "test": 5}
    (tmp_path / "dart").mkdir()
    for split, size in sizes.items():
        rows = [entry(i, [text("w90", f"w{i}"), text(f"w{i}", "w91", "w91")]) for i in range(size)]
        (tmp_path / "dart" / f"dart-v1.1.1-full-{split}.json").write_text(json.dumps(rows))
    return tmp_path


@pytest.fixture
def backbone(tmp_path):
    """A decoder with ids that can be read off; `:`, `|` and other words are unknown."""
    return save_backbone(tmp_path / "decoder", word_tokenizer())


@pytest.fixture
def make(folder, backbone, tmp_path):
    def module(**options):
        given = {"data_dir": str(folder), "backbone": backbone, "cache_dir": str(tmp_path / "cache")}
        return DARTDataModule(**(given | options))

    return module


@pytest.fixture
def notes(monkeypatch):
    lines = []
    monkeypatch.setattr(table_to_text, "rank_zero_info", lines.append)
    return lines


def place(module, rank, world_size):
    module.trainer = SimpleNamespace(
        world_size=world_size,
        global_rank=rank,
        state=SimpleNamespace(fn="fit"),
        fit_loop=SimpleNamespace(
            epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=0)))
        ),
    )


def rows_of(batch):
    """Ids, mask, labels and index of each row."""
    return zip(*(batch[name] for name in ("input_ids", "attention_mask", "labels", "index")), strict=True)


def indices(loader):
    return torch.cat([batch["index"] for batch in loader]).tolist()


def test_training_has_every_pair_once(make):
    module = make(train_batch_size=8)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert [len(batch["index"]) for batch in batches] == [8] * 7 + [4]
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(60))


def test_a_training_batch_is_prompt_separator_text_end_and_its_loss_the_text(make):
    module = make()
    module.setup("fit")
    for batch in module.train_dataloader():
        assert set(batch) == {"input_ids", "attention_mask", "labels", "index"}
        for ids, mask, labels, index in rows_of(batch):
            number = int(index) // 2
            prompt = [4 + number, 1, 54, 1, *[64] * (1 + number * 5 % 7)]
            answer = [4 + number, 95, 95] if index % 2 else [94, 4 + number]
            row = [*prompt, BEGIN, *answer, END]
            fill = len(ids) - len(row)
            assert ids.tolist() == row + [PAD] * fill
            assert mask.tolist() == [1] * len(row) + [0] * fill
            assert labels.tolist() == [-100] * (len(prompt) + 1) + [*answer, END] + [-100] * fill


def test_validation_has_all_pairs_and_the_prompts_of_the_first_items(make):
    module = make(generate_examples=4)
    module.setup("validate")
    pairs, prompts = module.val_dataloader()
    assert sorted(indices(pairs)) == list(range(18))
    assert all("labels" in batch for batch in pairs)
    assert sorted(indices(prompts)) == [0, 1, 2, 3]
    assert all("labels" not in batch for batch in prompts)


def test_more_examples_than_items_are_all_and_none_are_no_loader(make):
    more, none = make(generate_examples=100), make(generate_examples=0)
    for module in (more, none):
        module.setup("fit")
    assert [len(loader.dataset) for loader in more.val_dataloader()] == [18, 9]
    assert [len(loader.dataset) for loader in none.val_dataloader()] == [18]


@pytest.mark.parametrize("stage", ["test", "predict"])
def test_prompts_are_filled_on_the_left_and_numbered_as_the_items(make, stage):
    module = make(eval_batch_size=3)
    module.setup(stage)
    (loader,) = module.test_dataloader() if stage == "test" else module.predict_dataloader()
    seen = []
    for batch in loader:
        assert set(batch) == {"input_ids", "attention_mask", "index"}
        for ids, mask, index in zip(batch["input_ids"], batch["attention_mask"], batch["index"], strict=True):
            source = module.items("test")[index].source
            prompt = [*module.tokenizer(source)["input_ids"], BEGIN]
            fill = len(ids) - len(prompt)
            assert ids.tolist() == [PAD] * fill + prompt
            assert mask.tolist() == [0] * fill + [1] * len(prompt)
            seen.append(int(index))
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_an_encoder_decoder_backbone_gets_source_and_text(make, tmp_path):
    backbone = save_backbone(tmp_path / "t5", word_tokenizer("$A </s>"), model_type="t5")
    module = make(backbone=backbone)
    assert module.is_encoder_decoder
    module.setup("fit")
    module.setup("test")
    for batch in module.train_dataloader():
        for ids, mask, labels, index in rows_of(batch):
            number = int(index) // 2
            source = [4 + number, 1, 54, 1, *[64] * (1 + number * 5 % 7), END]
            answer = [4 + number, 95, 95, END] if index % 2 else [94, 4 + number, END]
            assert ids.tolist() == source + [PAD] * (len(ids) - len(source))
            assert mask.sum() == len(source)
            assert labels.tolist() == answer + [-100] * (len(labels) - len(answer))
    (batch,) = module.test_dataloader()[0]
    assert (batch["attention_mask"][:, 0] == 1).all()  # filled on the right


def test_items_are_cut_to_six_references(make, folder):
    rows = [entry(1, [text(f"w{i}") for i in range(5)]), entry(2, [text("w9")]), entry(1, [text(""), text("w8")])]
    (folder / "dart" / "dart-v1.1.1-full-test.json").write_text(json.dumps(rows))
    items = make().items("test")
    assert [item.references for item in items] == [("w0", "w1", "w2", "w3", "w4"), ("w9",)]
    assert [item.tags for item in items] == [{}, {}]


def test_training_order_depends_on_seed_and_epoch_alone(make):
    def order(module, epoch):
        loader = module.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return indices(loader)

    first, second, other = make(), make(), make(seed=11)
    for module in (first, second, other):
        module.setup("fit")
    assert order(first, 1) == order(first, 1) == order(second, 1)
    assert order(first, 1) != order(first, 2)
    assert order(first, 1) != order(other, 1)


def test_a_resumed_epoch_goes_on_behind_the_batches_that_are_done(make):
    module = make()
    module.setup("fit")
    place(module, 0, 1)
    whole = [batch["index"].tolist() for batch in module.train_dataloader()]
    module.trainer.fit_loop.epoch_loop.batch_progress.current.ready = 3
    assert [batch["index"].tolist() for batch in module.train_dataloader()] == whole[3:]


def test_loading_draws_nothing_from_the_global_generator(make):
    module = make()
    module.setup("fit")
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    for loader in (module.train_dataloader(), *module.val_dataloader()):
        list(loader)
    assert torch.equal(torch.rand(2), expected)


def test_processes_get_disjoint_shares(make):
    training, pairs, prompts = [], [], []
    for rank in range(2):
        module = make()
        module.setup("fit")
        place(module, rank, 2)
        training.append(indices(module.train_dataloader()))
        for share, loader in zip((pairs, prompts), module.val_dataloader(), strict=True):
            share += indices(loader)
    assert [len(share) for share in training] == [30, 30]
    assert sorted(training[0] + training[1]) == list(range(60))
    assert (sorted(pairs), sorted(prompts)) == (list(range(18)), list(range(9)))


def test_only_fit_needs_the_training_file(make, folder):
    (folder / "dart" / "dart-v1.1.1-full-train.json").unlink()
    make().setup("validate")
    with pytest.raises(InputError, match=r"full-train\.json: must be an existing file, got a folder with dart-v1"):
        make().setup("fit")


def test_the_cache_spares_reading(make, folder, monkeypatch):
    make().setup("fit")
    module = make()
    monkeypatch.setattr(module, "_read", None)
    module.setup("fit")
    assert len(module.train_dataloader().dataset) == 60
    # Another file is another key.
    path = folder / "dart" / "dart-v1.1.1-full-train.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:7]))
    changed = make()
    changed.setup("fit")
    assert len(changed.train_dataloader().dataset) == 14


def test_cut_prompts_and_texts_are_told(make, notes):
    module = make(max_length=9, max_context=6)
    module.setup("validate")
    # Item i has 4 + 1 + (5 i mod 7) + 1 tokens with the separator, a prompt keeps 6; its texts have 3 and 4 tokens.
    lengths = [6 + i * 5 % 7 for i in range(9)]
    cut = sum(length > 6 for length in lengths)
    assert notes == [
        f"dart validation: cut {2 * cut} of 18 prompts to their last 6 tokens",
        "dart validation: cut 9 of 18 texts, at 9 tokens",
        f"dart validation: cut {cut} of 9 prompts to their last 6 tokens",
    ]


def test_faulty_texts_are_told(tmp_path, backbone, notes):
    fact = {"subject": "w1", "property": "w2", "object": "w3"}
    texts = [{"comment": comment, "lex": "w4"} for comment in ("good", "toFix", "toFix")]
    record = {"category": "City", "modifiedtripleset": [fact], "lexicalisations": texts}
    (tmp_path / "dev.json").write_text(json.dumps({"entries": [{"1": record}]}))
    module = WebNLGDataModule(data_dir=str(tmp_path), backbone=backbone, cache_dir=str(tmp_path / "cache"))
    module.setup("validate")
    assert notes == ["webnlg validation: left out 2 texts that the set marks as faulty"]


def test_a_test_set_without_references_is_for_prediction(tmp_path, backbone):
    (tmp_path / "testset.csv").write_text("MR\nname[A]\nname[B]\n")
    module = E2EDataModule(data_dir=str(tmp_path), backbone=backbone, cache_dir=str(tmp_path / "cache"))
    module.setup("predict")
    assert sorted(indices(module.predict_dataloader()[0])) == [0, 1]
    with pytest.raises(InputError) as caught:
        module.setup("test")
    assert str(caught.value) == (
        "test: must be predict where the test file has no references, got e2e-official; "
        "put the test file with references beside it"
    )


def test_a_tokenizer_without_an_end_token_is_refused(make, tmp_path):
    backbone = save_backbone(tmp_path / "endless", word_tokenizer(eos_token=None))
    with pytest.raises(InputError) as caught:
        make(backbone=backbone).setup("fit")
    assert str(caught.value) == (
        f"model.backbone: must be a backbone whose tokenizer has an end token, got {backbone} without one; "
        "add eos_token to it"
    )


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("train_batch_size", 0, 1), ("eval_batch_size", -1, 1), ("generate_examples", -1, 0), ("num_workers", -1, 0)],
)
def test_numbers_out_of_range_are_refused(make, option, value, least):
    with pytest.raises(InputError) as caught:
        make(**{option: value})
    assert str(caught.value) == f"data.{option}: must be at least {least}, got {value}; give a larger number"


def test_a_context_that_leaves_no_room_is_refused(make):
    with pytest.raises(InputError, match=r"^data\.max_context: must be at least 3 and below max_length, 10, got 10; "):
        make(max_length=10, max_context=10).setup("fit")


def test_the_embedded_set_needs_nothing(tmp_path, notes):
    module = RestaurantTextDataModule(cache_dir=str(tmp_path))
    module.prepare_data()
    module.setup("fit")
    module.setup("test")
    assert [len(loader.dataset) for loader in (module.train_dataloader(), *module.val_dataloader())] == [8000, 1000, 32]
    assert [len(loader.dataset) for loader in module.test_dataloader()] == [250]
    assert module.limits.row == 128
    assert notes == []  # nothing is cut


@pytest.mark.slow
def test_workers_give_the_same_batches(make):
    alone, helped = make(), make(num_workers=1)
    for module in (alone, helped):
        module.setup("validate")
    for one, other in zip(alone.val_dataloader(), helped.val_dataloader(), strict=True):
        for batch, same in zip(one, other, strict=True):
            assert all(torch.equal(batch[name], same[name]) for name in batch)


def real_set(name, tmp_path, **options):
    """A real set; the development file of DART stands in for the training file, which is not there."""
    if name.startswith("e2e"):
        return E2EDataModule(name.removeprefix("e2e-"), data_dir=str(real_text.nlg_data()), **options)
    if name == "webnlg":
        return WebNLGDataModule(data_dir=str(real_text.nlg_data()), **options)
    for split, source in {"train": "dev", "dev": "dev", "test": "test"}.items():
        file = real_text.nlg_data() / "dart" / f"dart-v1.1.1-full-{source}.json"
        (tmp_path / f"dart-v1.1.1-full-{split}.json").symlink_to(file)
    return DARTDataModule(data_dir=str(tmp_path), **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "training", "validation", "items"),
    [
        ("e2e-respaced", 42061, 4672, 630),
        ("webnlg", 18025, 2258, 1862),
        ("dart", 6980, 6980, 4159),
    ],
)
def test_every_row_of_the_real_sets_is_read_tokenised_and_batched(name, training, validation, items, tmp_path, notes):
    options = {"backbone": real_text.gpt2_tokenizer(), "cache_dir": str(tmp_path / "cache"), "train_batch_size": 64}
    module = real_set(name, tmp_path, **options, eval_batch_size=64)
    module.prepare_data()
    module.setup("fit")
    module.setup("test")
    for loader, rows in (
        (module.train_dataloader(), training),
        (module.val_dataloader()[0], validation),
        (module.test_dataloader()[0], items),
    ):
        assert sorted(indices(loader)) == list(range(rows))
    assert len(module.items("test")) == items
    assert not any("cut" in note for note in notes)


def test_a_share_of_the_training_inputs_validates(make):
    """60 texts of 30 inputs, a tenth of the inputs: 54 pairs to train on, 6 to validate."""
    module = make(validation_share=0.1, generate_examples=0)
    module.setup("fit")
    assert [len(module.rows(part)) for part in module.parts("fit")] == [54, 6]
    with pytest.raises(InputError, match=r"data.validation_share: must be above 0 and below 1, or null, got 1"):
        make(validation_share=1)
