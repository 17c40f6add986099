"""What is known of each metric by its name: which way it is better, and on which scale it is printed."""

LOWER_IS_BETTER = ("loss", "perplexity", "ter_", "mae")
"""Beginnings of the names of the metrics that are better when lower; all others are better when higher."""

OF_HUNDRED = (
    "accuracy",
    "f1",
    "macro_f1",
    "matthews",
    "pearson",
    "spearman",
    "bleu",
    "meteor",
    "rouge_l",
    "exact_match",
    "token_accuracy",
    "slot_accuracy",
)
"""Beginnings of the names of shares and correlations, which the paper prints times 100; the others as they are."""


def higher_is_better(metric: str) -> bool:
    """Whether a metric is better when higher.

    Args:
        metric: Its name, as it is logged: `accuracy`, `perplexity`, `ter_tercom_S`.

    >>> higher_is_better("accuracy"), higher_is_better("ter_tercom_S")
    (True, False)
    """
    return not metric.startswith(LOWER_IS_BETTER)


def printed_scale(metric: str, value: float) -> float:
    """A value on the scale of the paper: shares and correlations times 100.

    Args:
        metric: Its name, as it is logged.
        value: As it is logged, a fraction where it is a share.

    >>> printed_scale("accuracy", 0.875), printed_scale("nist", 8.5)
    (87.5, 8.5)
    """
    return value * 100 if metric.startswith(OF_HUNDRED) else value
