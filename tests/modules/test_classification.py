"""Losses, metrics and predictions of the sentence tasks."""

import pytest
import torch
import torch.nn.functional as F
from tiny_models import tiny_config, tiny_model
from transformers import BigBirdForMaskedLM

from dylora.adapters.active_rank import use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.methods.adapter import Adapter
from dylora.methods.full import FullFineTuning
from dylora.modules.classification import SequenceClassificationModule

ADAPTER = DyLoRAConfig(max_rank=2)


def _batch(labels):
    ids = torch.arange(5, 5 + 3 * 6).view(3, 6)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "index": torch.tensor([2, 0, 1]),
    }


def test_regression_is_squared_error_of_one_output(backbone):
    module = SequenceClassificationModule("stsb", backbone, ADAPTER).eval()
    labels = torch.tensor([0.5, 3.0, 5.0])
    losses, scores = module.losses_of(_batch(labels), 1)
    assert scores.shape == (3,)
    assert torch.allclose(losses, F.mse_loss(scores, labels)[None])


def test_three_classes_for_mnli_and_its_three_accuracies(backbone):
    module = SequenceClassificationModule("mnli", backbone, ADAPTER).eval()
    module.log = lambda *args, **kwargs: None
    batch = _batch(torch.tensor([0, 1, 2]))
    with torch.no_grad():
        module.validation_step(batch, 0, 0)
        module.validation_step({**batch, "labels": torch.tensor([0, 0, 0])}, 0, 1)
    module.on_validation_epoch_end()
    results = module.results
    for rank in (1, 2):
        parts = results["accuracy_matched"][rank], results["accuracy_mismatched"][rank]
        assert results["accuracy"][rank] == pytest.approx(sum(parts) / 2)


def test_predictions_are_probabilities_at_each_asked_rank_with_the_row_number(backbone):
    module = SequenceClassificationModule("rte", backbone, ADAPTER).eval()
    torch.nn.init.normal_(module.get_parameter(next(n for n, _ in module.named_parameters() if "lora_B" in n)))
    batch = {key: value for key, value in _batch(None).items() if key != "labels"}
    with torch.no_grad():
        records = module.predict_step(batch, 0)
        assert [record["index"] for record in records] == [2, 0, 1]
        for rank in (1, 2):
            with use_rank(module.model, rank):
                logits = module.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            for record, row in zip(records, logits.softmax(-1), strict=True):
                found = record["ranks"][str(rank)]
                assert list(found["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-5)
                assert found["label"] == ("entailment", "not_entailment")[int(row.argmax())]


def test_a_score_is_predicted_for_regression(backbone):
    module = SequenceClassificationModule("stsb", backbone, ADAPTER).eval()
    with torch.no_grad():
        record = module.predict_step(_batch(torch.zeros(3)), 0)[0]
    assert isinstance(record["ranks"]["1"]["score"], float)


def test_an_unknown_task_lists_the_tasks(backbone):
    with pytest.raises(InputError, match=r"data.task: must be one of rte, mnli, .*, got 'wnli'"):
        SequenceClassificationModule("wnli", backbone)


@pytest.mark.parametrize("method", [Adapter(), FullFineTuning()])
def test_every_trained_parameter_has_a_gradient_where_the_backbone_lacks_a_pooler_that_no_output_reads(
    method, tmp_path
):
    tiny_model(BigBirdForMaskedLM, tiny_config("big_bird")).save_pretrained(tmp_path)
    adapter = DyLoRAConfig(max_rank=2, target_modules=["query", "value"])
    module = SequenceClassificationModule("rte", str(tmp_path), adapter, method=method)
    module.losses_of(_batch(torch.tensor([0, 1, 0])), 1)[0].sum().backward()
    trained = {name: p.grad is not None for name, p in module.model.named_parameters() if p.requires_grad}
    assert "classifier.dense.weight" in trained
    assert [name for name, has_gradient in trained.items() if not has_gradient] == []


def test_own_labels_make_the_outputs_and_stay_in_what_a_checkpoint_says(backbone):
    module = SequenceClassificationModule("own", backbone, ADAPTER, labels=["a", "b", "c"], monitor="matthews").eval()
    _, logits = module.losses_of(_batch(torch.tensor([0, 1, 2])), 1)
    assert logits.shape == (3, 3)
    assert (module.monitor, module.higher_is_better) == ("matthews", True)
    assert module.identity["labels"] == list(module.label_names) == ["a", "b", "c"]
    assert SequenceClassificationModule("own", backbone, ADAPTER, labels=[], monitor="mae").higher_is_better is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ["a"]}, r"labels: must be two class names or more, all different, got a;"),
        ({"labels": ["a", "a"]}, r"labels: must be two class names or more, all different, got a, a;"),
        (
            {"labels": ["a", "b"], "monitor": "f1"},
            r"model.monitor: must be a metric of the task \(accuracy, macro_f1, mat",
        ),
    ],
)
def test_labels_and_monitor_that_cannot_be(backbone, options, words):
    with pytest.raises(InputError, match=words):
        SequenceClassificationModule("own", backbone, ADAPTER, **options)
