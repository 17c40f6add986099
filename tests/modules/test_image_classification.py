"""Image classification at every rank."""

import pytest
import tiny_images
import torch
import torch.nn.functional as F

from dylora.adapters.active_rank import use_rank
from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError
from dylora.modules.image_classification import ImageClassificationModule

LABELS = ["a", "b", "c"]


@pytest.fixture(params=tiny_images.CONFIGS)
def module(request, tmp_path, randomise):
    folder = tiny_images.save_backbone(tmp_path / "backbone", request.param)
    adapter = DyLoRAConfig(max_rank=4, target_modules=tiny_images.TARGETS.get(request.param))
    made = ImageClassificationModule("things", LABELS, folder, adapter).eval()
    made.log = lambda *args, **kwargs: None
    randomise(made.model)
    return made


def _batch(size=8, rows=3):
    labels = torch.arange(rows) % 3
    return {"pixel_values": torch.randn(rows, 3, size, size), "labels": labels, "index": torch.arange(rows)}


def test_every_rank_at_once_is_rank_by_rank(module):
    batch = _batch()
    with torch.no_grad():
        found = {rank: (loss, outputs) for rank, loss, outputs in module.outputs_at_ranks(batch)}
        for rank in (1, 2, 3, 4):
            with use_rank(module.model, rank):
                logits = module.model(pixel_values=batch["pixel_values"]).logits
            assert torch.allclose(found[rank][1], logits, atol=1e-5)
            assert torch.allclose(found[rank][0], F.cross_entropy(logits, batch["labels"]), atol=1e-5)
    assert not torch.allclose(found[1][1], found[4][1], atol=1e-3)


def test_the_gradient_of_several_ranks_in_a_step_is_that_of_their_sum(module):
    batch = _batch()
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.plan_step((1, 3), (1.0, 1.0))
    found = torch.autograd.grad(module.training_step(batch, 0), trained)
    losses = []
    for rank in (1, 3):
        with use_rank(module.model, rank):
            losses.append(F.cross_entropy(module.model(pixel_values=batch["pixel_values"]).logits, batch["labels"]))
    expected = torch.autograd.grad(sum(losses), trained)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_images_of_another_size_than_the_backbones(module):
    with torch.no_grad():
        outputs = [outputs for *_, outputs in module.outputs_at_ranks(_batch(size=12))]
    assert [tuple(output.shape) for output in outputs] == [(3, 3)] * 4


def test_adapters_and_head_are_trained_and_nothing_else(module):
    trained = [name for name, parameter in module.model.named_parameters() if parameter.requires_grad]
    others = {name for name in trained if "lora_" not in name and not name.startswith("beit.pooler.")}
    assert others == {"classifier.weight", "classifier.bias"}  # BEiT's normalised mean is read by its head alone
    assert sum("lora_A" in name for name in trained) == 4  # two layers, two modules each


def test_labels_go_into_predictions_checkpoint_and_the_models_configuration(tmp_path):
    module = ImageClassificationModule("things", LABELS, tiny_images.save_backbone(tmp_path / "vit")).eval()
    with torch.no_grad():
        records = module.predict_step({"pixel_values": _batch()["pixel_values"], "index": torch.tensor([4, 0, 2])}, 0)
    assert [record["index"] for record in records] == [4, 0, 2]
    for record in records:
        probabilities = record["ranks"]["8"]["probabilities"]
        assert list(probabilities) == LABELS
        assert record["ranks"]["8"]["label"] == max(probabilities, key=probabilities.get)
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint["dylora"]["labels"] == ["a", "b", "c"]
    assert module.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    other = ImageClassificationModule("things", ["a", "c", "b"], str(tmp_path / "vit"))
    with pytest.raises(
        InputError, match=r"^--ckpt_path: must be trained on the classes of the data \(a, c, b\), got one .* a, b, c;"
    ):
        other.on_load_checkpoint(checkpoint)


def test_accuracy_and_macro_f1_at_every_rank(tmp_path):
    from sklearn.metrics import accuracy_score, f1_score

    folder = tiny_images.save_backbone(tmp_path / "vit")
    module = ImageClassificationModule("things", LABELS, folder, DyLoRAConfig(max_rank=2), monitor="macro_f1").eval()
    module.log = lambda *args, **kwargs: None
    batch = _batch(rows=12)
    with torch.no_grad():
        module.validation_step(batch, 0)
        guesses = module.model(pixel_values=batch["pixel_values"]).logits.argmax(-1)  # lora_B is zero
    module.on_validation_epoch_end()
    assert (module.monitor, module.higher_is_better) == ("macro_f1", True)
    for rank in (1, 2):
        assert module.results["accuracy"][rank] == pytest.approx(accuracy_score(batch["labels"], guesses))
        expected = f1_score(batch["labels"], guesses, average="macro", zero_division=0)
        assert module.results["macro_f1"][rank] == pytest.approx(expected)


@pytest.mark.parametrize("labels", [None, [], ["a"]])
def test_fewer_than_two_classes_are_refused(labels):
    with pytest.raises(InputError, match=r"^model.labels: must be the names of two classes or more"):
        ImageClassificationModule(labels=labels)
