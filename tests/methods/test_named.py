"""The methods by name."""

import pytest

from dylora.errors import InputError
from dylora.methods.flop import FlopConfig
from dylora.methods.named import build_method


@pytest.mark.parametrize("name", ["adapter", "full", "flop"])
def test_each_name_gives_its_method(name):
    assert build_method(name, FlopConfig(), "adamw").name == name


@pytest.mark.parametrize("name", ["full", "flop"])
def test_an_optimizer_of_rows_needs_adapters(name):
    with pytest.raises(InputError, match=rf"model.optimizer: must be adamw with method {name}, got row_exact_adamw"):
        build_method(name, FlopConfig(), "row_exact_adamw")


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match=r"model.method: must be adapter, full or flop, got 'prune'"):
        build_method("prune", FlopConfig(), "adamw")
