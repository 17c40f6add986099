"""The learned order: what stays as it is, and how near it comes to the best order where that is known."""

import pytest
import torch
from torch import nn

from dylora.adapters.active_rank import rank_state, set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.learned_order import learn_order_
from dylora.adapters.sensitivity import Sensitivity
from dylora.adapters.sorting import sort_
from dylora.errors import InputError

D_IN, D_OUT, RANK, ROWS = 12, 10, 4, 64


class Linear(nn.Module):
    """One layer that starts at nothing, so that the adapter is all there is."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(D_IN, D_OUT)
        self.drop = nn.Dropout(0.5)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, x):
        return self.drop(self.dense(x))


class Problem:
    """A linear-Gaussian problem: inputs of covariance C, an error weighed by G, the adapter itself as what is right.

    The loss of rank b is `tr(G E C Eᵀ)` with E what rank b leaves out: the two-sided cut with these C and G is best.
    """

    def __init__(self, config=None):
        torch.manual_seed(3)
        self.in_root = torch.randn(D_IN, D_IN) * torch.logspace(0, -1.5, D_IN)
        self.out_root = torch.randn(D_OUT, D_OUT) * torch.logspace(0, -1.5, D_OUT)
        self.model = adapt(Linear(), config or DyLoRAConfig(RANK, scaling="alpha/max_rank", target_modules=["dense"]))
        (self.pair,) = [each for each in self.model.modules() if isinstance(each, LowRankFactors)]
        nn.init.normal_(self.pair.lora_B)
        set_rank(self.model, RANK)
        self.model.eval()
        self.generator = torch.Generator().manual_seed(1)

    def batches(self, count):
        for _ in range(count):
            x = torch.randn(ROWS, D_IN, generator=self.generator) @ self.in_root.T
            set_rank(self.model, RANK)
            with torch.no_grad():
                y = self.model(x)
            yield x, y

    def loss_of(self, batch):
        x, y = batch
        return ((self.model(x) - y) @ self.out_root).square().sum()

    def sort(self, two_sided):
        covariance, weight = self.in_root @ self.in_root.T, self.out_root @ self.out_root.T
        weights = {name: Sensitivity(covariance, weight, 1) for name, m in self.model.named_modules() if m is self.pair}
        sort_(self.model, weights if two_sided else None)

    def learn(self, steps=200, **options):
        options = {"rows_of": lambda batch: len(batch[0]), "steps": steps, **options}
        learn_order_(self.model, self.batches(steps), self.loss_of, **options)

    def error(self):
        """The mean of the losses of the lower ranks, exactly, relative to that of no adapter."""
        pair, total = self.pair, []
        whole = pair.lora_B @ pair.lora_A
        for rank in (*range(1, RANK), 0):
            left = whole - pair.lora_B[:, :rank] @ pair.lora_A[:rank]
            total.append((self.out_root.T @ left.detach() @ self.in_root).square().sum().item())
        return sum(total[:-1]) / (RANK - 1) / total[-1]


def test_from_the_svd_it_comes_most_of_the_way_to_the_best_order():
    problem = Problem()
    problem.sort(two_sided=True)
    best = problem.error()
    problem.sort(two_sided=False)
    svd = problem.error()
    problem.learn(400)
    assert best < problem.error() < best + 0.1 * (svd - best)


@pytest.mark.parametrize("rank_per_row", [True, False])
def test_any_order_gets_better_with_a_rank_for_each_row_or_for_each_step(rank_per_row):
    problem = Problem()
    before = problem.error()
    problem.learn(rank_per_row=rank_per_row)
    assert problem.error() < 0.7 * before


def test_the_largest_rank_stays_and_nothing_but_the_factors_changes():
    problem = Problem()
    model, state = problem.model, rank_state(problem.model)
    model.train()
    set_rank(model, 2)
    problem.pair.lora_A.requires_grad_(False)
    product = (problem.pair.lora_B @ problem.pair.lora_A).detach()
    others = {name: p.clone() for name, p in model.named_parameters() if "lora" not in name}
    random = torch.get_rng_state()
    problem.learn(50)
    torch.testing.assert_close(problem.pair.lora_B @ problem.pair.lora_A, product, rtol=1e-5, atol=1e-5)
    for name, value in others.items():
        assert torch.equal(model.get_parameter(name), value)
    assert torch.equal(torch.get_rng_state(), random)
    assert model.training
    assert model.drop.training
    assert not problem.pair.lora_A.requires_grad
    assert problem.pair.lora_A.grad is problem.pair.lora_B.grad is None
    assert state.config.scaling == "alpha/max_rank"


def test_the_best_order_is_where_it_stays():
    problem = Problem()
    problem.sort(two_sided=True)
    best = problem.error()
    problem.learn(100)
    assert best <= problem.error() < 1.05 * best


def test_a_step_whose_gradient_is_not_finite_is_left_out():
    problem = Problem()
    before = problem.pair.lora_A.detach().clone()
    problem.learn(3, add_up=lambda gradient: gradient.fill_(float("nan")))
    assert torch.equal(problem.pair.lora_A, before)


@pytest.mark.parametrize(("ranks", "steps"), [((RANK, RANK), 5), ((1, RANK), 0)])
def test_with_one_rank_or_no_steps_nothing_happens(ranks, steps):
    config = DyLoRAConfig(ranks[1], min_rank=ranks[0], scaling="alpha/max_rank", target_modules=["dense"])
    problem = Problem(config)
    before = problem.pair.lora_A.detach().clone()
    problem.learn(steps)
    assert torch.equal(problem.pair.lora_A, before)


def test_another_scaling_is_refused():
    problem = Problem(DyLoRAConfig(RANK, scaling="alpha/b", target_modules=["dense"]))
    with pytest.raises(InputError, match=r"scaling: must be alpha/max_rank .* got alpha/b; call sort_"):
        problem.learn(1)


def test_shares_of_the_batches_in_two_processes_add_up_to_the_whole():
    whole, first = Problem(), Problem()
    whole.learn(1)
    gradients = []
    for place in (0, 1):  # the rows take turns, as samplers share them out
        part = Problem()

        def half(batch, part=part, place=place):
            x, y = batch
            return part.loss_of((x[place::2], y[place::2]))

        options = {"rows_of": lambda batch: len(batch[0]) // 2, "processes": (2, place)}
        learn_order_(
            part.model, part.batches(1), half, steps=1, add_up=lambda g: gradients.append(g.clone()), **options
        )

    def sum_of_both(gradient):
        gradient.copy_(sum(gradients))

    first.learn(1, add_up=sum_of_both)
    torch.testing.assert_close(first.pair.lora_A, whole.pair.lora_A)
    assert not torch.equal(gradients[0], gradients[1])
