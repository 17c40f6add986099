"""Which way each metric is better; the one place that knows."""

LOWER_IS_BETTER = ("loss", "perplexity", "ter_")
"""Beginnings of the names of the metrics that are better when lower; all others are better when higher."""


def higher_is_better(metric: str) -> bool:
    """Whether a metric is better when higher.

    Args:
        metric: Its name, as it is logged: `accuracy`, `perplexity`, `ter_tercom_S`.

    >>> higher_is_better("accuracy"), higher_is_better("ter_tercom_S")
    (True, False)
    """
    return not metric.startswith(LOWER_IS_BETTER)
