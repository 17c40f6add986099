"""The benchmark of architectures on a dozen of them: nothing is silently wrong, and it can tell."""

import copy

import architecture_checks as checks
import architectures
import pytest
import torch
from literal_model import columns_of_fused, factors_of
from tiny_models import tiny_config, tiny_inputs, tiny_model
from transformers import GPT2LMHeadModel, PhiForCausalLM

from dylora.adapters.adapt import adapt
from dylora.adapters.config import DyLoRAConfig


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dozen_architectures_are_right_or_refused_in_every_cell(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["architectures.py", "--quick"])
    architectures.main()
    table, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    assert last == "wrong: 0"
    assert "error (" not in table
    assert all(f"| {model_type} |" in table for model_type in architectures.QUICK)


def case_of(kind, model_type):
    torch.manual_seed(0)
    base = tiny_model(kind, tiny_config(model_type))
    inputs = tiny_inputs(base, checks.ROWS)
    model = checks.adapted(base)
    outputs = checks.at_every_rank(model, inputs)
    return checks.Case(base, model, inputs, factors_of(model), {}, outputs)


def test_a_wrong_factor_is_seen():
    case = case_of(PhiForCausalLM, "phi")
    assert checks.outcome(checks.equals_the_literal_model, case, False) == "ok"
    case.factors[0].B[0, 0] += 0.1
    verdict = checks.outcome(checks.equals_the_literal_model, case, False)
    assert verdict.startswith("wrong: rank 1, alpha/b: off by ")


def test_adapters_that_do_nothing_are_seen(monkeypatch):
    case = case_of(PhiForCausalLM, "phi")
    for pair in case.factors:
        pair.B.zero_()
    case.outputs = checks.at_every_rank(adapt(copy.deepcopy(case.base), DyLoRAConfig(4)), case.inputs)
    monkeypatch.setattr(checks, "adapted", lambda base, scaling: adapt(copy.deepcopy(base), DyLoRAConfig(4)))
    verdict = checks.outcome(checks.equals_the_literal_model, case, False)
    assert verdict == "wrong: the adapters change the outputs by 0e+00 only"


def test_the_thirds_of_gpt2_are_found_by_trying():
    case = case_of(GPT2LMHeadModel, "gpt2")
    found = columns_of_fused(case.base, case.factors, {name: value[:1] for name, value in case.inputs.items()})
    for columns in found.values():
        assert columns == {"q": list(range(32)), "k": list(range(32, 64)), "v": list(range(64, 96))}
