"""Names of systems and cuts on the command line."""

import pytest

from dylora.errors import InputError
from dylora.report.curves import Curves
from dylora.report.names import best_cut_of, find_name, select


def curves(*names):
    return [Curves(system, cut, f"{system} {cut}".strip(), "mrpc", "f1") for system, cut in names]


LORA = curves(("lora", ""), ("lora", "alpha/b"), ("lora", "two-sided"), ("dylora", ""))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("lora", ("lora", "")),
        ("lora/alpha/b", ("lora", "alpha/b")),
        ("lora_alpha_b", ("lora", "alpha/b")),
        ("lora/two-sided", ("lora", "two-sided")),
        ("lora_two_sided", ("lora", "two-sided")),
    ],
)
def test_a_cut_is_named_in_any_clear_way(given, name):
    assert find_name(LORA, given, "--against") == name


def test_a_name_that_is_written_so_wins_and_one_that_means_two_things_is_refused():
    assert find_name(curves(("lora", "svd"), ("lora_svd", "")), "lora_svd", "--against") == ("lora_svd", "")
    with pytest.raises(InputError, match="'lora svd', which may be lora/svd or lora_svd"):
        find_name(curves(("lora", "svd"), ("lora_svd", "")), "lora svd", "--against")


def test_an_unknown_name_lists_all_and_shows_the_nearest():
    with pytest.raises(InputError) as caught:
        find_name(LORA, "lora/two-side", "--against")
    assert "--against: must be among the systems and cuts of the runs: lora, lora/alpha/b, lora/two-sided" in str(
        caught.value
    )
    assert "did you mean lora/two-sided?" in str(caught.value)


def test_the_best_cut_of_a_system():
    assert [best_cut_of(LORA, word) for word in ("lora/best", "lora_best_cut", "lora/best_cut")] == ["lora"] * 3
    assert best_cut_of(LORA, "lora") is None
    assert best_cut_of(curves(("lora_best", ""), ("lora", "svd")), "lora_best") is None


def test_systems_are_shown_in_the_order_in_which_they_are_named():
    found = [(c.system, c.cut) for c in select(LORA, "dylora, lora/*")]
    assert found == [("dylora", ""), ("lora", "alpha/b"), ("lora", "two-sided")]
    assert [(c.system, c.cut) for c in select(LORA, "lora")] == [("lora", "")]
    with pytest.raises(InputError, match="--systems: must be among"):
        select(LORA, "lora,dylara")
    with pytest.raises(InputError, match="--systems: must be names"):
        select(LORA, ",")
