"""Student's t against tables and scipy."""

import pytest
from scipy import stats

from dylora.rank_curve.student import t_quantile


@pytest.mark.parametrize(("degrees", "table"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228)])
def test_the_values_of_the_printed_tables(degrees, table):
    assert t_quantile(0.975, degrees) == pytest.approx(table, abs=5e-4)


@pytest.mark.parametrize("degrees", [1, 1.3, 2.7, 5, 33.3, 650, 1499, 1e5])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.975, 0.995])
def test_the_values_of_scipy(probability, degrees):
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-5, abs=1e-8)
