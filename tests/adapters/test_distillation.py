"""What lower ranks learn from the largest one."""

import pytest
import reference
import torch

from dylora.adapters.distillation import Distillation, distillation_losses
from dylora.errors import InputError


@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_each_row_is_the_literal_distance_and_the_teacher_gets_no_gradient(loss):
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    losses = distillation_losses(student, teacher, loss)
    expected = [reference.distillation(s, t, loss) for s, t in zip(student.tolist(), teacher.tolist(), strict=True)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
    losses.sum().backward()
    assert teacher.grad is None
    assert student.grad.any()


def test_scores_have_a_squared_distance():
    assert distillation_losses(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.5]), "mse").tolist() == [4.0, 0.25]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"weight": 1.5}, r"weight: must be from 0 to 1, got 1.5"), ({"loss": "l1"}, r"loss: must be kl or mse")],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        Distillation(**options)
