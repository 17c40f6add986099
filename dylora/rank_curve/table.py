"""The rank curve as rows of a table in the terminal."""

from collections.abc import Mapping, Sequence

from dylora.rank_curve.summary import RankSummary
from dylora.terminal import CHOSEN, painted

_MOST_COLUMNS = 16


def table_header(first: str, ranks: Sequence[int], has_choice: bool = True, width: int = 12) -> str:
    """Heading of the rows that `table_row` makes.

    Args:
        first: Heading of the rows' own headings.
        ranks: The ranks.
        has_choice: As for `table_row`.
        width: Characters of the first column.
    """
    cells = [f"{f'rank {rank}':>8}" for rank in shown_ranks(ranks)]
    choice = f"{'best':>6}{'chosen':>8}" if has_choice else ""
    summary = f"{'mean':>10}{choice}" if len(ranks) > 1 else ""
    return f"{first:<{width}}{''.join(cells)}{summary}"


def table_row(
    first: str,
    values: Mapping[int, float],
    summary: RankSummary,
    has_choice: bool = True,
    width: int = 12,
    chosen: str | None = None,
) -> str:
    """One row: the metric at every rank (at most 16 of them) and, of several, its mean, the best and the chosen one.

    Args:
        first: The row's own heading.
        values: The metric at each rank.
        summary: Of these values.
        has_choice: Whether to show the best and the chosen rank; not for test data, where no rank is chosen.
        width: Characters of the first column.
        chosen: What stands as the chosen rank; None for that of the summary, which goes by the figures alone.

    >>> from dylora.rank_curve.summary import summarise
    >>> values = {1: 0.8, 2: 0.9}
    >>> table_row("epoch 1", values, summarise(values))
    'epoch 1       0.8000  0.9000    0.8500     2       2'
    """
    cells = [f"{_number(values[rank], 7):>8}" for rank in shown_ranks(sorted(values))]
    evidence = summary.chosen_rank if chosen is None else chosen
    best, shown = ("-" if rank is None else rank for rank in (summary.best_rank, evidence))
    choice = f"{best:>6}{shown:>8}" if has_choice else ""
    words = f"{_number(summary.mean, 9):>10}{choice}" if len(values) > 1 else ""
    return f"{first:<{width}}{''.join(cells)}{words}"


def place_of(rank: int | None, ranks: Sequence[int], width: int = 12) -> slice | None:
    """Where a rank's figure stands in a row; None for a rank without a column.

    >>> row = "epoch 1       0.8000  0.9000    0.8500     2       2"
    >>> row[place_of(2, [1, 2])]
    '  0.9000'
    """
    shown = shown_ranks(sorted(ranks))
    if rank not in shown:
        return None
    start = width + 8 * shown.index(rank)
    return slice(start, start + 8)


def marked_row(row: str, ranks: Sequence[int], chosen: int | None, width: int = 12) -> str:
    """A row of a table of ranks with the chosen rank's figure in colour.

    Args:
        row: As `table_row` makes it.
        ranks: The ranks of the table.
        chosen: The rank; None for none.
        width: Characters of the first column.
    """
    place = place_of(chosen, ranks, width)
    if place is None:
        return row
    return row[: place.start] + painted(row[place], CHOSEN) + row[place.stop :]


def shown_ranks(ranks: Sequence[int]) -> list[int]:
    """The ranks that a terminal has room for: all, or 16 of them evenly spread with both ends.

    >>> shown_ranks(range(1, 65))[:3], shown_ranks(range(1, 65))[-1]
    ([1, 5, 9], 64)
    """
    if len(ranks) <= _MOST_COLUMNS:
        return list(ranks)
    last = len(ranks) - 1
    return [ranks[round(i * last / (_MOST_COLUMNS - 1))] for i in range(_MOST_COLUMNS)]


def _number(value: float, width: int) -> str:
    """A number with four decimals, or with as many fewer as its width asks for.

    >>> _number(0.51236, 7), _number(5773.36715, 7), _number(23456789.0, 7)
    ('0.5124', '5773.37', '2.3e+07')
    """
    return next((text for places in range(4, -1, -1) if len(text := f"{value:.{places}f}") <= width), f"{value:.1e}")
