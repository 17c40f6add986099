"""GLUE metrics against scikit-learn and SciPy."""

import itertools
import math

import pytest
import torch
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, mean_absolute_error

from dylora.metrics.glue import GLUEMetrics
from dylora.tasks import TASKS, get_task, task_for


def logits_of(classes, num_classes=2):
    return torch.nn.functional.one_hot(torch.tensor(classes), num_classes).float()


def figures(task, predicted, labels, batch_size=7):
    metrics = GLUEMetrics(get_task(task))
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        metrics.update(predicted[part], labels[part])
    return metrics.compute()


def random_rows(seed, rows, num_classes):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, num_classes, generator=generator),
        torch.randint(num_classes, (rows,), generator=generator),
    )


def random_scores(seed, rows):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(rows, generator=generator) * 20).round() / 4  # Many ties, as in STS-B.
    return labels + torch.randn(rows, generator=generator), labels


@pytest.mark.parametrize("name", list(TASKS))
def test_names_are_the_tasks(name):
    task = get_task(name)
    metrics = GLUEMetrics(task)
    for split in range(len(task.validation_splits)):
        logits, labels = random_rows(0, 5, task.num_outputs)
        metrics.update(logits, labels, split)
    result = metrics.compute()
    assert set(result) == set(task.metrics)
    assert all(type(value) is float for value in result.values())


@pytest.mark.parametrize("seed", range(5))
def test_classification_equals_scikit_learn(seed):
    logits, labels = random_rows(seed, 101, 2)
    logits[:, 1] += labels  # Better than chance, so that the figures differ from each other.
    predicted = logits.argmax(1)
    mrpc = figures("mrpc", logits, labels)
    assert mrpc["accuracy"] == accuracy_score(labels, predicted)
    assert mrpc["f1"] == pytest.approx(f1_score(labels, predicted), abs=1e-15)
    assert figures("cola", logits, labels)["matthews"] == pytest.approx(matthews_corrcoef(labels, predicted), abs=1e-15)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")  # scikit-learn's
def test_every_small_set_of_labels_and_predictions_equals_scikit_learn():
    """All 64 sets of three rows, which hold every degenerate kind of confusion matrix."""
    for labels in itertools.product((0, 1), repeat=3):
        for predicted in itertools.product((0, 1), repeat=3):
            logits, target = logits_of(predicted), torch.tensor(labels)
            assert figures("mrpc", logits, target)["f1"] == pytest.approx(
                f1_score(labels, predicted, zero_division=0.0), abs=1e-15
            )
            assert figures("cola", logits, target)["matthews"] == pytest.approx(
                matthews_corrcoef(labels, predicted), abs=1e-15
            )


@pytest.mark.parametrize("seed", range(5))
def test_correlations_equal_scipy(seed):
    scores, labels = random_scores(seed, 1501)
    result = figures("stsb", scores, labels, batch_size=32)
    x, y = scores.double().numpy(), labels.double().numpy()
    assert result["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-13)
    assert result["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-13)


def test_correlations_keep_their_precision_far_from_zero():
    scores, labels = random_scores(0, 501)
    expected = stats.pearsonr((scores + 4096).double().numpy(), labels.double().numpy()).statistic
    assert figures("stsb", scores + 4096, labels)["pearson"] == pytest.approx(expected, abs=1e-12)


def test_scores_may_have_a_second_axis_of_one_and_half_precision():
    scores, labels = random_scores(1, 33)
    half = scores.bfloat16()
    expected = stats.pearsonr(half.double().numpy(), labels.double().numpy()).statistic
    assert figures("stsb", half[:, None], labels)["pearson"] == pytest.approx(expected, abs=1e-13)


def test_mnli_is_the_unweighted_mean_of_its_two_sets():
    metrics = GLUEMetrics(get_task("mnli"))
    metrics.update(logits_of([0, 1, 2, 0], 3), torch.tensor([0, 1, 2, 1]), split=0)
    metrics.update(logits_of([2, 2], 3), torch.tensor([2, 0]), split=1)
    assert metrics.compute() == {"accuracy": 0.625, "accuracy_matched": 0.75, "accuracy_mismatched": 0.5}


def test_mnli_with_the_matched_set_alone_reports_no_other():
    metrics = GLUEMetrics(get_task("mnli"))
    metrics.update(logits_of([0, 1, 2, 0], 3), torch.tensor([0, 1, 2, 1]), split=0)
    assert metrics.compute() == {"accuracy": 0.75, "accuracy_matched": 0.75}


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [4.0, 4.0, 4.0]),
        ([1.5], [2.5]),
        ([math.nan, 1.0, 2.0], [1.0, 2.0, 3.0]),
        ([math.inf, 1.0, 2.0], [1.0, 2.0, 3.0]),
    ],
    ids=["constant predictions", "constant labels", "one row", "nan", "infinity"],
)
def test_undefined_correlations_are_zero(scores, labels):
    assert figures("stsb", torch.tensor(scores), torch.tensor(labels)) == {"pearson": 0.0, "spearman": 0.0}


def test_undefined_logits_count_as_some_class():
    assert figures("rte", torch.full((3, 2), math.nan), torch.tensor([0, 0, 0]))["accuracy"] in (0.0, 1.0)


def test_perfect_correlation_is_one_whatever_the_scale():
    labels = torch.tensor([0.0, 1.0, 2.5, 4.0, 5.0])
    assert figures("stsb", labels * 1e-20, labels)["pearson"] == pytest.approx(1.0, abs=1e-15)
    assert figures("stsb", -labels * 1e20, labels)["pearson"] == pytest.approx(-1.0, abs=1e-15)


@pytest.mark.parametrize("name", ["rte", "stsb", "mnli"])
def test_metrics_before_any_row_are_an_error(name):
    metrics = GLUEMetrics(get_task(name))
    with pytest.warns(UserWarning, match="before the ``update`` method"), pytest.raises(RuntimeError, match="any row"):
        metrics.compute()


@pytest.mark.parametrize("name", ["rte", "stsb"])
def test_reset_forgets_everything(name):
    task = get_task(name)
    metrics = GLUEMetrics(task)
    metrics.update(*random_rows(0, 9, task.num_outputs))
    metrics.compute()
    metrics.reset()
    logits, labels = random_rows(1, 9, task.num_outputs)
    metrics.update(logits, labels)
    assert metrics.compute() == figures(name, logits, labels)


def test_states_are_no_part_of_a_checkpoint():
    assert GLUEMetrics(get_task("rte")).state_dict() == {}


class WithoutDoubles(torch.Tensor):
    """A tensor on a device that has no float64, as MPS; it refuses as MPS does, and `cpu()` leaves the device."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        result = super().__torch_function__(function, types, args, kwargs or {})
        if function is torch.Tensor.cpu:
            return result.as_subclass(torch.Tensor)
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support it")
        return result


def test_a_device_without_doubles_gives_the_figures_of_the_cpu():
    with pytest.raises(TypeError, match="float64"):
        torch.ones(2).as_subclass(WithoutDoubles).double()
    for task, (predicted, labels) in (("stsb", random_scores(3, 40)), ("mrpc", random_rows(3, 40, 2))):
        there = figures(task, predicted.as_subclass(WithoutDoubles), labels.as_subclass(WithoutDoubles))
        assert there == figures(task, predicted, labels)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_the_metrics_of_own_classes_equal_scikit_learn(classes, seed):
    logits, labels = random_rows(seed, 101, classes)
    logits += torch.nn.functional.one_hot(labels, classes)
    metrics = GLUEMetrics(task_for("own", [str(place) for place in range(classes)]))
    metrics.update(logits, labels)
    predicted = logits.argmax(1)
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "matthews": matthews_corrcoef(labels, predicted),
    }
    assert metrics.compute() == pytest.approx(expected, abs=1e-14)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")  # scikit-learn's
def test_every_small_set_of_three_classes_equals_scikit_learn():
    """Macro F1 is over the classes that the labels have: one that is guessed alone is not counted."""
    for labels in itertools.product((0, 1, 2), repeat=3):
        for predicted in itertools.product((0, 1, 2), repeat=3):
            metrics = GLUEMetrics(task_for("own", ["a", "b", "c"]))
            metrics.update(logits_of(predicted, 3), torch.tensor(labels))
            found = metrics.compute()
            expected = f1_score(labels, predicted, labels=sorted(set(labels)), average="macro", zero_division=0.0)
            assert found["macro_f1"] == pytest.approx(expected, abs=1e-15)
            assert found["matthews"] == pytest.approx(matthews_corrcoef(labels, predicted), abs=1e-15)


def test_the_metrics_of_own_scores_equal_scikit_learn_and_scipy():
    scores, labels = random_scores(0, 501)
    metrics = GLUEMetrics(task_for("own", []))
    metrics.update(scores, labels)
    found = metrics.compute()
    assert set(found) == {"pearson", "spearman", "mae"}
    assert found["mae"] == pytest.approx(mean_absolute_error(labels.double(), scores.double()), abs=1e-13)
    metrics.update(torch.tensor([math.nan]), torch.tensor([1.0]))
    assert metrics.compute()["mae"] == math.inf
