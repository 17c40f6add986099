"""RowExactAdamW against one torch.optim.AdamW a row; groups and schedule against literal numbers."""

import copy
import io
import random

import pytest
import reference
import torch
from torch import nn
from torch.optim import SGD, AdamW
from transformers.pytorch_utils import Conv1D

from dylora.adapters.active_rank import rank_state, set_rank
from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig
from dylora.adapters.factors import LowRankFactors
from dylora.adapters.optim import RowExactAdamW, build_optimizer, linear_warmup, parameter_groups
from dylora.errors import InputError

MAX_RANK, WIDTH, STEPS = 4, 7, 50  # an odd width: the ends of vectorised loops are met too
SETTINGS = {"lr": 3e-3, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.1}
each_mode = pytest.mark.parametrize("frozen", [False, True], ids=["prefix", "frozen"])


class Net(nn.Module):
    """A fused projection and a linear layer, both adapted, under a head that is trained whole."""

    def __init__(self):
        super().__init__()
        self.c_attn = Conv1D(3 * WIDTH, WIDTH)
        self.linear = nn.Linear(3 * WIDTH, WIDTH)
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2))
        self.temperature = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.head(self.linear(torch.tanh(self.c_attn(x)))) * self.temperature


def network(dtype=torch.float32, random_b=True):
    torch.manual_seed(0)
    net = adapt(Net(), DyLoRAConfig(MAX_RANK, alpha=8, target_modules=["c_attn[q,v]", "linear"]))
    net.head.requires_grad_(True)
    net.temperature.requires_grad_(True)
    if random_b:
        for factors in factors_of(net):
            nn.init.normal_(factors.lora_B, std=0.2)
    return net.to(dtype)


def factors_of(net):
    return [module for module in net.modules() if isinstance(module, LowRankFactors)]


def row_exact(net, weight_decay=SETTINGS["weight_decay"]):
    state = rank_state(net)
    groups = parameter_groups(net, weight_decay)
    rest = {key: SETTINGS[key] for key in ("lr", "betas", "eps")}
    return RowExactAdamW(groups, **rest, updated_rows=lambda: state.updated_rows)


def data(step, dtype=torch.float32):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(5, WIDTH, generator=generator, dtype=dtype), torch.randint(0, 2, (5,), generator=generator)


def backward(net, step, rank, frozen):
    """The gradients of one training step at a rank."""
    set_rank(net, rank, frozen=frozen)
    net.zero_grad()
    x, y = data(step, next(net.parameters()).dtype)
    nn.functional.cross_entropy(net(x), y).backward()


def train(net, optimizer, steps, frozen, ranks):
    for step in steps:
        backward(net, step, ranks[step], frozen)
        optimizer.step()


def random_ranks(steps=STEPS):
    return random.Random(4).choices(range(1, MAX_RANK + 1), k=steps)


def oracles(net):
    return [reference.PerRowAdamW(f.lora_A, f.lora_B, **SETTINGS) for f in factors_of(net)]


@each_mode
def test_it_is_algorithm_1_to_the_bit_over_50_steps(frozen):
    net = network()
    optimizer, per_row = row_exact(net), oracles(net)
    for step, rank in enumerate(random_ranks()):
        backward(net, step, rank, frozen)
        for factors, oracle in zip(factors_of(net), per_row, strict=True):
            oracle.step(factors.lora_A.grad, factors.lora_B.grad, rank, frozen)
        optimizer.step()
        for factors, oracle in zip(factors_of(net), per_row, strict=True):
            assert torch.equal(factors.lora_A, oracle.A)
            assert torch.equal(factors.lora_B, oracle.B)
    assert any(not torch.equal(f.lora_A, g.lora_A) for f, g in zip(factors_of(net), factors_of(network()), strict=True))


@each_mode
@pytest.mark.parametrize("scaling", reference.SCALINGS)
def test_a_literal_training_run_ends_at_the_same_weights(frozen, scaling):
    """The oracle makes its own forward, its own gradients and its own updates."""
    torch.manual_seed(0)
    config = DyLoRAConfig(MAX_RANK, alpha=8, scaling=scaling, target_modules=["0"])
    net = adapt(nn.Sequential(nn.Linear(WIDTH, 2)), config).double()
    oracle = reference.PerRowAdamW(net[0].factors.lora_A, net[0].factors.lora_B, **SETTINGS)
    train(net, row_exact(net), range(STEPS), frozen, random_ranks())
    W0, bias = net[0].base_layer.weight, net[0].base_layer.bias
    for step, rank in enumerate(random_ranks()):
        x, y = data(step, torch.float64)
        A, B = oracle.A.requires_grad_(), oracle.B.requires_grad_()
        out = reference.linear_forward(x, W0, bias, A, B, rank, 8, scaling)
        loss = -torch.log_softmax(out, dim=1)[range(5), y].mean()
        oracle.step(*torch.autograd.grad(loss, [A, B]), rank, frozen)
    torch.testing.assert_close(net[0].factors.lora_A.detach(), oracle.A, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(net[0].factors.lora_B.detach(), oracle.B, rtol=1e-7, atol=1e-9)


@each_mode
@pytest.mark.parametrize("rank", range(1, MAX_RANK + 1))
def test_plain_gradient_descent_is_algorithm_1_as_printed(frozen, rank):
    """SGD has neither momentum nor decay here: that rows stay is the work of the gradients alone."""
    net = network()
    backward(net, 0, rank, False)
    expected = [
        reference.algorithm_1_sgd(f.lora_A.detach(), f.lora_B.detach(), f.lora_A.grad, f.lora_B.grad, rank, 0.1, frozen)
        for f in factors_of(net)
    ]
    backward(net, 0, rank, frozen)
    SGD(net.parameters(), lr=0.1).step()
    for factors, (A, B) in zip(factors_of(net), expected, strict=True):
        torch.testing.assert_close(factors.lora_A.detach(), A, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(factors.lora_B.detach(), B, rtol=1e-6, atol=1e-7)


@each_mode
def test_rows_outside_the_step_and_their_moments_keep_their_bits(frozen):
    net = network()
    optimizer = row_exact(net)
    train(net, optimizer, range(10), False, [MAX_RANK] * 10)  # momentum in every row
    for step, rank in enumerate(random_ranks(20), start=10):
        parameters = [p for f in factors_of(net) for p in (f.lora_A, f.lora_B)]
        before = [(p.detach().clone(), copy.deepcopy(optimizer.state[p])) for p in parameters]
        backward(net, step, rank, frozen)
        optimizer.step()
        updated = [k - 1 for k in reference.updated_ranks(rank, frozen)]
        others = [k for k in range(MAX_RANK) if k not in updated]
        for parameter, (old, old_state) in zip(parameters, before, strict=True):
            dim = 0 if parameter.shape[0] == MAX_RANK else 1
            state = optimizer.state[parameter]
            tensors = [(old, parameter), *((old_state[name], state[name]) for name in ("exp_avg", "exp_avg_sq"))]
            for was, now in tensors:
                was, now = was.movedim(dim, 0), now.detach().movedim(dim, 0)
                assert torch.equal(was[others], now[others])
                assert (was[updated] != now[updated]).any(dim=1).all()
            counted = state["step"] - old_state["step"]
            assert counted.tolist() == [float(k in updated) for k in range(MAX_RANK)]


def test_training_only_higher_frozen_rows_leaves_the_lower_ranks_alone():
    net = network()
    x, _ = data(99)
    set_rank(net, 2)
    for parameter in (*net.head.parameters(), net.temperature):
        parameter.requires_grad_(False)
    before = net(x)
    train(net, row_exact(net), range(20), True, [3, 4] * 10)
    set_rank(net, 2)
    assert torch.equal(net(x), before)


@each_mode
def test_factors_that_miss_steps_count_their_own(frozen):
    """A layer that a forward leaves out has no gradient; its rows and their moments wait."""
    net = network()
    optimizer, per_row = row_exact(net), oracles(net)
    for step, rank in enumerate(random_ranks()):
        backward(net, step, rank, frozen)
        for number, (factors, oracle) in enumerate(zip(factors_of(net), per_row, strict=True)):
            if step % (number + 2) == number:
                factors.lora_A.grad = factors.lora_B.grad = None
            else:
                oracle.step(factors.lora_A.grad, factors.lora_B.grad, rank, frozen)
        optimizer.step()
        for factors, oracle in zip(factors_of(net), per_row, strict=True):
            assert torch.equal(factors.lora_A, oracle.A)
            assert torch.equal(factors.lora_B, oracle.B)


def test_the_moments_of_factors_updated_together_lie_together():
    net = network()
    optimizer = row_exact(net)
    train(net, optimizer, range(3), False, [2, 4, 1])
    places = {optimizer.state[f.lora_B]["exp_avg"].untyped_storage().data_ptr() for f in factors_of(net)}
    assert len(places) == 1


def _saved_bytes(states):
    file = io.BytesIO()
    torch.save(states, file)
    return file.getbuffer().nbytes


def _apart(value):
    """The same state with a storage for each tensor."""
    if isinstance(value, dict):
        return {key: _apart(part) for key, part in value.items()}
    return value.clone() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("alternates", [False, True], ids=["always", "every other step"])
def test_a_factor_that_misses_steps_copies_no_moments_and_keeps_no_other_block_alive(alternates):
    """What is kept stays where it is at every step, and a checkpoint is as large as that of separate tensors."""
    net = network()
    optimizer, per_row = row_exact(net), oracles(net)
    places = set()
    for step, rank in enumerate(random_ranks(12)):
        backward(net, step, rank, False)
        for number, (factors, oracle) in enumerate(zip(factors_of(net), per_row, strict=True)):
            if alternates and number == 0 and step % 2:
                factors.lora_A.grad = factors.lora_B.grad = None
            else:
                oracle.step(factors.lora_A.grad, factors.lora_B.grad, rank, False)
        optimizer.step()
        states = [optimizer.state[p] for f in factors_of(net) for p in (f.lora_A, f.lora_B)]
        moments = [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]
        places.add(tuple(moment.data_ptr() for moment in moments))
        storages = {m.untyped_storage().data_ptr(): m.untyped_storage().nbytes() for m in moments}
        assert sum(storages.values()) == sum(m.nbytes for m in moments)
    assert len(places) == 1
    for factors, oracle in zip(factors_of(net), per_row, strict=True):
        assert torch.equal(factors.lora_A, oracle.A)
        assert torch.equal(factors.lora_B, oracle.B)
    saved = optimizer.state_dict()
    assert _saved_bytes(saved) <= _saved_bytes(_apart(saved))


def test_a_state_that_is_put_in_the_place_of_another_frees_the_block():
    net = network()
    optimizer = row_exact(net)
    train(net, optimizer, range(2), False, [4, 4])
    first, second, *_ = (f.lora_A for f in factors_of(net))
    optimizer.state[first]["exp_avg"] = torch.zeros_like(first)
    backward(net, 2, 4, False)
    second.grad = None
    optimizer.step()
    moment = optimizer.state[second]["exp_avg"]
    assert moment.untyped_storage().nbytes() == moment.nbytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_is_torchs_adamw_to_the_bit_when_every_row_trains_at_every_step(weight_decay, dtype):
    ours, theirs = network(dtype), network(dtype)
    torchs = AdamW(parameter_groups(theirs, weight_decay), lr=SETTINGS["lr"], betas=SETTINGS["betas"], foreach=False)
    exact = row_exact(ours, weight_decay)
    for optimizer, net in ((exact, ours), (torchs, theirs)):
        schedule = linear_warmup(optimizer, STEPS, 0.2)
        for step in range(STEPS):
            backward(net, step, MAX_RANK, False)
            optimizer.step()
            schedule.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b), name
    start = dict(network().named_parameters())
    trained = {name for name, p in ours.named_parameters() if not torch.equal(p, start[name])}
    assert trained == {name for name, p in ours.named_parameters() if p.requires_grad}


@each_mode
def test_what_is_no_adapter_trains_at_every_step_as_in_torchs_adamw(frozen):
    net = network()
    optimizer = row_exact(net)
    head = [
        p
        for p in net.parameters()
        if p.requires_grad and not any(p is q for f in factors_of(net) for q in f.parameters())
    ]
    twins = [nn.Parameter(p.detach().clone()) for p in head]
    groups = [
        {"params": [p for p in twins if p.dim() > 1], "weight_decay": SETTINGS["weight_decay"]},
        {"params": [p for p in twins if p.dim() <= 1], "weight_decay": 0.0},
    ]
    torchs = AdamW(groups, lr=SETTINGS["lr"], betas=SETTINGS["betas"], foreach=False)
    for step, rank in enumerate(random_ranks()):
        backward(net, step, rank, frozen)
        for parameter, twin in zip(head, twins, strict=True):
            twin.grad = parameter.grad.clone()
        optimizer.step()
        torchs.step()
    assert len(head) == 5
    for parameter, twin in zip(head, twins, strict=True):
        assert torch.equal(parameter, twin)


@pytest.mark.parametrize("name", ["adamw", "row_exact_adamw"])
def test_torchs_adamw_moves_rows_that_have_no_gradient_and_row_exact_does_not(name):
    """The trap: a zero gradient is not "no update"; momentum and weight decay of AdamW move the row all the same."""
    net = network()
    state = rank_state(net)
    optimizer = build_optimizer(name, net, 1e-3, 0.1, lambda: state.updated_rows)
    train(net, optimizer, range(5), False, [MAX_RANK] * 5)
    lora_A = factors_of(net)[0].lora_A
    before = lora_A.detach().clone()
    backward(net, 5, 1, False)
    assert torch.count_nonzero(lora_A.grad[1:]) == 0
    optimizer.step()
    moved = (lora_A != before).any(dim=1).tolist()
    assert moved == ([True] * 4 if name == "adamw" else [True, False, False, False])


@each_mode
def test_a_run_resumed_from_its_state_dict_ends_at_the_same_bits(frozen):
    ranks = random_ranks(30)
    whole = network()
    train(whole, row_exact(whole), range(30), frozen, ranks)
    first = network()
    optimizer = row_exact(first)
    train(first, optimizer, range(13), frozen, ranks)
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = network(random_b=False)
    second.load_state_dict(saved["model"])
    resumed = row_exact(second)
    resumed.load_state_dict(saved["optimizer"])
    train(second, resumed, range(13, 30), frozen, ranks)
    for (name, a), b in zip(whole.named_parameters(), second.named_parameters(), strict=True):
        assert torch.equal(a, b[1]), name


def test_a_parameter_without_a_gradient_is_left_alone():
    net = network()
    optimizer = row_exact(net)
    backward(net, 0, 2, False)
    net.temperature.grad = None
    optimizer.step()
    assert net.temperature.item() == 1.5
    assert net.temperature not in optimizer.state


def test_a_step_gives_the_loss_of_its_closure_and_uses_the_rank_that_the_closure_set():
    net = network()
    set_rank(net, MAX_RANK)
    lora_A = factors_of(net)[0].lora_A
    before = lora_A.detach().clone()

    def closure():
        backward(net, 0, 2, True)
        return 7.5

    assert row_exact(net).step(closure) == 7.5
    assert (lora_A != before).any(dim=1).tolist() == [False, True, False, False]


def test_a_step_at_a_rank_per_row_trains_the_rows_up_to_the_largest():
    net = network()
    optimizer = row_exact(net)
    train(net, optimizer, range(5), False, [MAX_RANK] * 5)
    lora_A = factors_of(net)[0].lora_A
    before = lora_A.detach().clone()
    backward(net, 5, torch.tensor([1, 3, 2, 1, 3]), False)
    optimizer.step()
    assert (lora_A != before).any(dim=1).tolist() == [True, True, True, False]


@pytest.mark.parametrize("name", ["adamw", "row_exact_adamw"])
def test_a_step_whose_fp16_gradients_overflow_changes_no_row_and_no_moment(name):
    net = network()
    optimizer = build_optimizer(name, net, 0.05, 0.1, lambda: rank_state(net).updated_rows)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    train(net, optimizer, range(3), False, [2, 4, 3])
    weights = {key: p.detach().clone() for key, p in net.named_parameters()}
    moments = copy.deepcopy(optimizer.state_dict()["state"])
    set_rank(net, 3)
    net.zero_grad()
    x, y = data(3)
    scaler.scale(nn.functional.cross_entropy(net(x), y)).backward()
    factors_of(net)[0].lora_A.grad[0, 0] = float("inf")
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**15
    assert all(torch.equal(p, weights[key]) for key, p in net.named_parameters())
    after = optimizer.state_dict()["state"]
    assert after.keys() == moments.keys()
    for key, of_one in moments.items():
        assert of_one.keys() == after[key].keys()
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(after[key][n])) for n, v in of_one.items())


def test_parameter_groups_decay_matrices_and_name_the_rank_dimension():
    net = network()
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    groups = [
        ({names[id(p)] for p in group["params"]}, group["weight_decay"], group["rank_dim"])
        for group in parameter_groups(net, 0.3)
    ]
    modules = ("c_attn.factors.q", "c_attn.factors.v", "linear.factors")
    assert groups == [
        ({f"{module}.lora_A" for module in modules}, 0.3, 0),
        ({f"{module}.lora_B" for module in modules}, 0.3, 1),
        ({"head.1.weight"}, 0.3, None),
        ({"head.0.weight", "head.0.bias", "head.1.bias", "temperature"}, 0.0, None),
    ]


def test_a_model_without_a_head_has_no_empty_groups():
    net = adapt(nn.Sequential(nn.Linear(3, 3)), DyLoRAConfig(2, target_modules=["0"]))
    assert [group["rank_dim"] for group in parameter_groups(net, 0.1)] == [0, 1]


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("row_exact_adamw", RowExactAdamW)])
def test_the_named_optimizer_is_built_with_its_settings(name, kind):
    optimizer = build_optimizer(name, network(), 4e-4, 0.1, lambda: slice(0, 1))
    assert type(optimizer) is kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.1, 0.1, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (4e-4, (0.9, 0.999), 1e-8)


def learning_rates(total, ratio, steps=None):
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    schedule = linear_warmup(optimizer, total, ratio, steps)
    rates = []
    for _ in range(total + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("total", "ratio", "steps", "expected"),
    [
        (10, 0.2, None, [0, 4, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (9, 0.06, None, [0, 8, 7, 6, 5, 4, 3, 2, 1, 0]),  # 0.54 steps are rounded up to 1
        (6, 0.9, 2, [0, 4, 8, 6, 4, 2, 0]),  # the number of steps goes before the ratio
        (4, 0.5, 0, [8, 6, 4, 2, 0]),
        (4, 0.0, None, [8, 6, 4, 2, 0]),
        (4, 1.0, None, [0, 2, 4, 6, 0]),
    ],
)
def test_linear_warmup_goes_up_then_down_to_zero(total, ratio, steps, expected):
    assert learning_rates(total, ratio, steps) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("ratio", "steps", "argument", "given"),
    [
        (-0.1, None, "warmup_ratio", "-0.1"),
        (1.5, None, "warmup_ratio", "1.5"),
        (float("nan"), None, "warmup_ratio", "nan"),
        (0.1, -1, "warmup_steps", "-1"),
    ],
)
def test_a_bad_warmup_is_told_in_one_line(ratio, steps, argument, given):
    with pytest.raises(InputError) as caught:
        learning_rates(10, ratio, steps)
    message = str(caught.value)
    assert message.startswith(f"{argument}: must be ")
    assert f", got {given}; " in message
    assert "\n" not in message


def test_groups_with_a_constant_rate_keep_it_while_the_others_warm_up_and_decay():
    one, two = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = SGD([{"params": [one]}, {"params": [two], "lr": 0.5, "constant_lr": True}], lr=1.0)
    schedule = linear_warmup(optimizer, total_steps=4, warmup_ratio=0.5)
    rates = []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert rates == [[0.0, 0.5], [0.5, 0.5], [1.0, 0.5], [0.5, 0.5], [0.0, 0.5]]
