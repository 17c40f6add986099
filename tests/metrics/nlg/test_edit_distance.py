import random

import pytest

from dylora.metrics.nlg.edit_distance import EditDistance


def table_distance(first, second):
    """The recurrence as it stands in textbooks."""
    table = {(i, 0): i for i in range(len(first) + 1)} | {(0, j): j for j in range(len(second) + 1)}
    for i, a in enumerate(first, 1):
        for j, b in enumerate(second, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    return table[len(first), len(second)]


@pytest.mark.parametrize("longest", [3, 12, 80])
def test_distance_equals_the_table_of_edits(longest):
    generator = random.Random(longest)
    for _ in range(200 if longest < 80 else 10):
        first, second = (generator.choices("abcd", k=generator.randint(0, longest)) for _ in range(2))
        assert EditDistance(second)(first) == table_distance(first, second)


def test_a_distance_can_be_asked_for_again_and_again():
    distance = EditDistance("the pub is cheap".split())
    assert [distance(text.split()) for text in ("the pub", "a pub is", "the pub is cheap", "")] == [2, 2, 0, 4]
