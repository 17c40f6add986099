"""Language models at every rank: what is learned, predicted, written and scored."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_text
import torch
from torch import nn
from transformers import AutoTokenizer

from dylora.adapters.active_rank import rank_state, use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.assets import asset_path
from dylora.data.sources.text_items import Item
from dylora.decoding import stacked
from dylora.errors import InputError
from dylora.methods.flop import FLOP
from dylora.methods.full import FullFineTuning
from dylora.metrics.nlg import e2e_scores, meteor, webnlg_scores
from dylora.modules.generation import GenerationModule

RANKS = (1, 2, 3, 4)
ROWS = [3, 0, 4, 1, 2]
PEAKED = {"gpt2": {"initializer_range": 0.3}, "llama": {"initializer_range": 0.3}, "t5": {"dropout_rate": 0.0}}
FAMILIES = pytest.mark.parametrize("family", PEAKED)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("writers")
    return {family: tiny_text.save_writer(root / family, family, **changes) for family, changes in PEAKED.items()}


@pytest.fixture
def make(folders):
    """Build a module with random factors, without dropout, bound to the restaurants; in evaluation mode."""

    def build(family="gpt2", **options):
        torch.manual_seed(0)
        values = {"decoding": "greedy", "max_new_tokens": 8, "adapter": DyLoRAConfig(max_rank=4), **options}
        module = GenerationModule(values.pop("task", "restaurants"), folders[family], **values)
        for name, parameter in module.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
        for layer in module.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        module.log = lambda *args, **kwargs: None
        module.bind(tiny_text.Restaurants(family == "t5"))
        return module.eval()

    return build


@pytest.fixture
def no_meteor(monkeypatch):
    monkeypatch.setattr(meteor, "is_available", lambda: False)


def _data(module):
    return tiny_text.Restaurants(module.model.config.is_encoder_decoder)


def _token_losses(module, row):
    """Negative log-likelihood of each token of one text, one prefix at a time, and whether it was the best guess."""
    data = _data(module)
    source = data.tokenizer.encode(tiny_text.ITEMS[row].source)
    text = [*data.tokenizer.encode(tiny_text.ITEMS[row].references[0]), 0]
    losses, right = [], []
    for place, token in enumerate(text):
        if data.is_encoder_decoder:
            inputs = {"input_ids": torch.tensor([source]), "decoder_input_ids": torch.tensor([[0, *text[:place]]])}
        else:
            inputs = {"input_ids": torch.tensor([[*source, *text[:place]]])}
        logits = module.model(**inputs).logits[0, -1].double()
        losses.append(-torch.log_softmax(logits, 0)[token].item())
        right.append(int(logits.argmax()) == token)
    return losses, right


@FAMILIES
@torch.no_grad()
def test_perplexity_and_accuracy_of_all_ranks_are_those_of_every_token_at_each_rank(make, family):
    module = make(family)
    module.on_validation_epoch_start()
    for rows in (ROWS[:3], ROWS[3:]):
        module.validation_step(_data(module).teacher_forced(rows), 0)
    module.on_validation_epoch_end()
    assert set(module.results) == {"perplexity", "token_accuracy", "loss"}
    for rank in RANKS:
        with use_rank(module.model, rank):
            pairs = [_token_losses(module, row) for row in range(5)]
        losses = [loss for losses, _ in pairs for loss in losses]
        right = [hit for _, hits in pairs for hit in hits]
        assert module.results["loss"][rank] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        assert module.results["perplexity"][rank] == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-4)
        assert module.results["token_accuracy"][rank] == sum(right) / len(right)
    assert len({round(value, 3) for value in module.results["perplexity"].values()}) == 4


@FAMILIES
@torch.no_grad()
def test_perplexity_in_one_pass_is_that_rank_by_rank(make, family):
    module = make(family)
    batch = _data(module).teacher_forced(ROWS)
    stacked = {rank: (loss, outputs) for rank, loss, outputs in module.outputs_at_ranks(batch)}
    for rank in RANKS:
        module.eval_ranks = (rank,)
        ((_, loss, outputs),) = module.outputs_at_ranks(batch)
        assert torch.allclose(loss, stacked[rank][0], rtol=1e-5)
        assert torch.allclose(outputs, stacked[rank][1], rtol=1e-5)


def test_token_accuracy_is_the_same_where_the_caller_records_gradients(make):
    module = make("gpt2")
    batch = _data(module).teacher_forced(ROWS)
    with torch.no_grad(), use_rank(module.model, 4):
        labels = batch["labels"][:, 1:]  # GPT-2's tokens are predicted one place before
        labels[labels != -100] = module.outputs_of(batch).argmax(-1)
        expected = [outputs for *_, outputs in module.outputs_at_ranks(batch)]
    assert torch.equal(expected[3][:, 1], expected[3][:, 2])
    found = [outputs for *_, outputs in module.outputs_at_ranks(batch)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.is_grad_enabled()
    losses, outputs = module.losses_of(batch, 1)
    assert losses.requires_grad
    assert outputs[:, 1].isnan().all(), "what is not counted is no figure"


@FAMILIES
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_training_loss_is_the_mean_over_tokens_smoothed(make, family, smoothing):
    module = make(family, label_smoothing=smoothing)
    batch = _data(module).teacher_forced([0, 2])
    module.train()
    module.plan_step((2,), (1.0,))
    loss = module.training_step(batch, 0)
    with use_rank(module.model, 2):
        inputs = {key: value for key, value in batch.items() if key != "index"}
        logits = module.model(**inputs).logits
    labels = batch["labels"]
    if family != "t5":
        logits, labels = logits[:, :-1], labels[:, 1:]
    log_p = torch.log_softmax(logits, -1)
    per_token = []
    for row, place in (labels != -100).nonzero().tolist():
        hard, soft = -log_p[row, place, labels[row, place]], -log_p[row, place].mean()
        per_token.append((1 - smoothing) * hard + smoothing * soft)
    assert torch.allclose(loss, torch.stack(per_token).mean(), rtol=1e-5)


def test_summation_loss_is_the_weighted_mean_of_the_ranks(make):
    module = make(label_smoothing=0.0)
    batch = _data(module).teacher_forced([0, 2, 3])
    module.plan_step(RANKS, (0.4, 0.3, 0.2, 0.1))
    loss = module.training_step(batch, 0)
    parts = []
    for rank, weight in zip(RANKS, (0.4, 0.3, 0.2, 0.1), strict=True):
        module.plan_step((rank,), (1.0,))
        parts.append(weight * module.training_step(batch, 0))
    assert torch.allclose(loss, sum(parts), rtol=1e-5)


def test_only_the_adapters_are_trained(make):
    module = make()
    module.training_step(_data(module).teacher_forced([0, 1]), 0).backward()
    trained = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    assert set(checkpoint["state_dict"]) == trained


@FAMILIES
@pytest.mark.parametrize("num_beams", [1, 4])
def test_texts_of_all_ranks_are_those_rank_by_rank(make, family, num_beams):
    options = {"num_beams": num_beams, "decoding": "e2e", "max_new_tokens": 8}
    together = dict(make(family, **options).texts_at_ranks(_data(make(family)).prompts(ROWS)))
    alone = make(family, **options, eval_rows=1)
    assert list(together) == list(RANKS)
    assert together == dict(alone.texts_at_ranks(_data(alone).prompts(ROWS)))
    assert len({str(texts) for texts in together.values()}) > 1


@FAMILIES
@pytest.mark.parametrize("num_beams", [1, 2])
@pytest.mark.parametrize("stacks", [True, False])
def test_texts_of_rows_at_ranks_of_their_own_are_those_at_each_rank(make, family, num_beams, stacks):
    module = make(family, num_beams=num_beams)
    batch = _data(module).prompts(ROWS)
    expected = dict(module.texts_at_ranks(batch))
    rank_state(module.model).row_checks["generation"] = stacks
    own = torch.tensor([2, 4, 1, 2, 3])
    found = module.texts_at_own_ranks({**batch, "rank": own})
    assert found == [expected[rank][row] for row, rank in enumerate(own.tolist())]
    assert len({expected[rank][0] for rank in RANKS}) > 1


def test_ranks_are_stacked_as_far_as_rows_and_beams_fit(make, monkeypatch):
    seen = []

    def generate(model, ids, mask, ranks, *_):
        seen.append(tuple(ranks))
        return [[[5]] * len(ids) for _ in ranks]

    monkeypatch.setattr("dylora.modules.generation.generate_at_ranks", generate)
    module = make(decoding="e2e", num_beams=4, eval_rows=35)
    batch = _data(module).prompts([0, 1, 2])  # 12 rows a rank: two ranks fit
    assert [rank for rank, _ in module.texts_at_ranks(batch)] == list(RANKS)
    assert seen == [(1, 2), (3, 4)]


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("cached_tokens", [1, 6144])
def test_the_forwards_that_texts_take_at_most_are_told(make, monkeypatch, num_beams, cached_tokens):
    """A bar reaches its end with the last token, however many calls the texts are spread over."""
    monkeypatch.setitem(stacked._CACHED_TOKENS, "cpu", cached_tokens)
    module = make(num_beams=num_beams)
    monkeypatch.setattr(module, "_end_ids", (259,))  # never written: each call takes all its tokens
    batch = _data(module).prompts(ROWS)
    list(module.texts_at_ranks(batch))  # the first batch is checked, which takes forwards of its own
    forwards = []
    module.model.register_forward_hook(lambda *_: forwards.append(1))
    list(module.texts_at_ranks(batch))
    calls = 1 if cached_tokens > 1 else 4
    shared = calls if num_beams > 1 else 0
    assert module.most_forwards(batch) == 8 * calls + shared
    assert 8 * calls <= len(forwards) <= 8 * calls + shared


def test_an_evaluation_keeps_scores_and_orders_the_texts(make, no_meteor):
    module = make()
    module.on_test_epoch_start()
    for rows in (ROWS[:2], ROWS[2:]):
        module.test_step(_data(module).prompts(rows), 0)
    module.on_test_epoch_end()
    expected = dict(module.texts_at_ranks(_data(module).prompts([0, 1, 2, 3, 4])))
    references = [item.references for item in tiny_text.ITEMS]
    for rank in RANKS:
        assert [record["index"] for record in module.predictions[rank]] == [0, 1, 2, 3, 4]
        texts = [record["text"] for record in module.predictions[rank]]
        assert texts == expected[rank]
        scores = e2e_scores(texts, references)
        for name in ("bleu", "nist", "rouge_l", "cider"):
            assert module.results[name][rank] == scores[name]
    assert "perplexity" not in module.results
    assert "meteor" not in module.results
    assert {"meteor", "meteor_S", "meteor_U"} == set(module.unavailable)


def test_parts_of_the_items_are_scored_for_themselves(make, no_meteor):
    module = make(task="webnlg", decoding="greedy")
    module.on_validation_epoch_start()
    module.validation_step(_data(module).prompts(ROWS), 0, 1)
    module.on_validation_epoch_end()
    texts = [record["text"] for record in module.predictions[4]]
    for part, rows in (("_S", [0, 2, 4]), ("_U", [1, 3]), ("", range(5))):
        scores = webnlg_scores([texts[i] for i in rows], [tiny_text.ITEMS[i].references for i in rows])
        for name in ("bleu", "ter_pyter"):
            assert module.results[f"{name}{part}"][4] == scores[name]


def test_records_say_what_was_written_for_what(make, no_meteor):
    module = make()
    module.on_validation_epoch_start()
    module.validation_step(_data(module).prompts([1, 0]), 0, 1)
    module.on_validation_epoch_end()
    first, second = module.records(2)
    assert first["index"] == 0
    assert first["input"] == "The Mill | pub"
    assert first["references"] == ["The Mill is a pub.", "A pub called The Mill."]
    assert first["output"] == module.predictions[2][0]["text"]
    assert 0 <= first["score"] <= 1
    assert module.records(2, most=1) == [first]
    assert second["index"] == 1


def test_items_without_references_are_written_and_not_scored(make):
    module = make()
    module._data.items = lambda split: [Item("The Mill | pub", ())] * 5
    module.on_test_epoch_start()
    module.test_step(_data(module).prompts(ROWS), 0)
    module.on_test_epoch_end()
    assert module.results == {}
    assert len(module.predictions[1]) == 5
    assert module.records(1)[0]["score"] is None


def test_an_evaluation_forgets_the_one_before(make, no_meteor):
    module = make()
    for _ in range(2):
        module.on_validation_epoch_start()
        module.validation_step(_data(module).teacher_forced([0]), 0)
        module.validation_step(_data(module).prompts([0]), 0, 1)
        module.on_validation_epoch_end()
        assert len(module.predictions[1]) == 1
        kept = module.results
    assert {"perplexity", "bleu"} < set(kept)
    module.on_validation_epoch_start()
    module.on_validation_epoch_end()
    assert module.predictions == {}
    assert module.results == {}


def test_evaluation_restores_the_training_rank(make):
    module = make()
    module.plan_step((3,), (1.0,), frozen=True)
    module.validation_step(_data(module).prompts([0]), 0, 1)
    module.validation_step(_data(module).teacher_forced([0]), 0)
    assert (rank_state(module.model).rank, rank_state(module.model).frozen) == (3, True)


def test_predictions_for_new_inputs_are_one_record_a_row(make):
    module = make()
    module.eval_ranks = (2, 4)
    records = module.predict_step(_data(module).prompts([3, 1]), 0)
    texts = dict(module.texts_at_ranks(_data(module).prompts([3, 1])))
    assert records == [
        {"index": 3, "ranks": {"2": {"text": texts[2][0]}, "4": {"text": texts[4][0]}}},
        {"index": 1, "ranks": {"2": {"text": texts[2][1]}, "4": {"text": texts[4][1]}}},
    ]


def test_texts_are_cut_at_an_empty_line_and_stripped(make, monkeypatch):
    tokenizer = AutoTokenizer.from_pretrained(asset_path("gpt2"))
    tokens = tokenizer.encode(" A pub's café .\n\nMore of it.")
    monkeypatch.setattr("dylora.modules.generation.generate_at_ranks", lambda *args: [[tokens]] * 4)
    module = make()
    assert next(module.texts_at_ranks(_data(module).prompts([0]))) == (1, ["A pub's café ."])


def test_lower_is_better_for_perplexity_and_ter_only(make):
    module = make(task="dart")
    module.results = {"perplexity": {1: 9.0, 2: 3.0}, "ter_tercom_S": {1: 0.5, 2: 0.4}, "bleu": {1: 0.1, 2: 0.2}}
    module.results["token_accuracy"] = {1: 0.3, 2: 0.2}
    assert not module.higher_is_better
    assert [module.summary(name).best_rank for name in module.results] == [2, 2, 2, 1]
    assert module.summary().best_rank == 2


@pytest.mark.parametrize(
    ("task", "penalty", "metrics"),
    [
        ("e2e", 0.9, ("bleu", "nist", "meteor", "rouge_l", "cider")),
        ("e2e_respaced", 0.9, ("bleu", "nist", "meteor", "rouge_l", "cider")),
        ("webnlg", 0.8, ("bleu", "bleu_multi", "meteor", "ter_pyter", "ter_tercom")),
        ("dart", 0.8, ("bleu", "bleu_multi", "meteor", "ter_pyter", "ter_tercom")),
    ],
)
def test_a_data_set_brings_its_protocol(make, task, penalty, metrics):
    module = make(task=task, decoding=None, max_new_tokens=None)
    assert (module.decoding.num_beams, module.decoding.length_penalty) == (10, penalty)
    assert module.metric_names == ("perplexity", "token_accuracy", *metrics)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_smoothing": 1.0}, r"model.label_smoothing: must be from 0 up to but without 1, got 1.0"),
        ({"num_beams": -3}, r"model.num_beams: must be at least 1, got -3"),
        ({"length_penalty": float("inf")}, r"model.length_penalty: must be a finite number, got inf"),
        ({"decoding": "best"}, r"model.decoding: must be one of e2e, "),
    ],
)
def test_bad_values(make, changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_a_tokenizer_without_an_end_token_is_refused(make):
    module = make()
    data = _data(module)
    data.tokenizer.eos_token = None
    with pytest.raises(InputError, match=r"whose tokenizer has an end token"):
        module.bind(data)


def test_cross_entropy_of_a_batch_without_any_text_is_zero(make):
    module = make()
    batch = _data(module).teacher_forced([0])
    batch["labels"] = torch.full_like(batch["labels"], -100)
    losses, outputs = module.losses_of(batch, 1)
    assert losses.tolist() == [0.0]
    assert outputs.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.slow
def test_two_processes_give_the_figures_and_texts_of_one(folders, make, no_meteor, tmp_path):
    module = make()
    torch.save({k: p for k, p in module.named_parameters() if "lora_" in k}, tmp_path / "factors.pt")
    module.on_test_epoch_start()
    for batch in (_data(module).teacher_forced(ROWS), _data(module).prompts(ROWS)):
        module.test_step(batch, 0)
    module.on_test_epoch_end()
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, str(script), folders["gpt2"], str(tmp_path / "factors.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    for results, predictions in answers:
        assert predictions == {str(rank): records for rank, records in module.predictions.items()}
        assert results.keys() == module.results.keys()
        for name, by_rank in module.results.items():
            assert results[name] == pytest.approx({str(rank): value for rank, value in by_rank.items()}, rel=1e-5)


@FAMILIES
@pytest.mark.parametrize("method", [FullFineTuning, FLOP])
@torch.no_grad()
def test_without_adapters_it_predicts_and_writes_what_the_backbone_does(make, family, method):
    module, adapted = make(family, method=method()), make(family)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.zero_()
    adapted.eval_ranks = (4,)
    batch = _data(module).teacher_forced(ROWS)
    ((rank, loss, _),) = module.outputs_at_ranks(batch)
    ((_, expected, _),) = adapted.outputs_at_ranks(batch)
    assert rank == 4
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    prompts = _data(module).prompts(ROWS)
    assert list(module.texts_at_ranks(prompts)) == list(adapted.texts_at_ranks(prompts))
