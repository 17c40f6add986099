"""DyLoRAConfig: defaults of the paper and one-line errors."""

import pytest

from dylora.adapters.config import DyLoRAConfig
from dylora.errors import InputError


def test_defaults_are_the_papers_table_8_but_for_the_scaling():
    config = DyLoRAConfig()
    assert (config.max_rank, config.min_rank, config.rank_step) == (8, 1, 1)
    assert (config.alpha, config.scaling, config.init) == (16, "alpha/max_rank", "gaussian")


def test_ranks_follow_min_max_and_step():
    assert list(DyLoRAConfig(max_rank=8, min_rank=2, rank_step=3).ranks) == [2, 5, 8]


@pytest.mark.parametrize(
    ("values", "argument", "given"),
    [
        ({"max_rank": 4, "min_rank": 5}, "min_rank", "min_rank 5 > max_rank 4"),
        ({"max_rank": 0}, "max_rank", "0"),
        ({"min_rank": 0}, "min_rank", "0"),
        ({"rank_step": 0}, "rank_step", "0"),
        ({"max_rank": 8, "rank_step": 2}, "rank_step", "2"),
        ({"scaling": "alpha"}, "scaling", "'alpha'"),
        ({"dropout": 1.0}, "dropout", "1.0"),
        ({"dropout": -0.1}, "dropout", "-0.1"),
        ({"dropout": float("nan")}, "dropout", "nan"),
        ({"init": "zero"}, "init", "'zero'"),
    ],
)
def test_bad_value_is_told_in_one_line(values, argument, given):
    with pytest.raises(InputError) as caught:
        DyLoRAConfig(**values)
    message = str(caught.value)
    assert message.startswith(f"{argument}: must be ")
    assert f", got {given}; " in message
    assert "\n" not in message
