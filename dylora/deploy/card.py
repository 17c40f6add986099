"""The model card of an exported adapter, `README.md`."""

from collections.abc import Mapping
from dataclasses import dataclass

from dylora.rank_curve.summary import RankSummary

Curves = Mapping[str, Mapping[int, float]]
PICTURE = "rank_curve.png"


@dataclass(frozen=True)
class CardFacts:
    """What a card says.

    Attributes:
        title: Its heading.
        kind: What the folder holds, in words.
        library: `peft`, `transformers` or `dylora`, as the hub knows it.
        backbone: Name of the backbone.
        task: What it was trained on.
        ranks: The ranks that the folder can run at.
        settings: What the adapter is made of, by name.
        loading: Python that loads it.
        command: The command that wrote the folder.
        monitor: The metric that the rank curve is about.
        metrics: Validation metrics at every rank; empty where there are none.
        summary: Of the monitored metric, where there are metrics.
        cut: The way that the adapter was cut; None as it was trained.
    """

    title: str
    kind: str
    library: str
    backbone: str
    task: str
    ranks: str
    settings: Mapping[str, object]
    loading: str
    command: str
    monitor: str = ""
    metrics: Curves | None = None
    summary: RankSummary | None = None
    cut: str | None = None


def card(facts: CardFacts) -> str:
    """The card as Markdown, with the fields that the hub reads at its head."""
    parts = [_head(facts), f"# {facts.title}", _what(facts), _loading(facts), _figures(facts), _settings(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: CardFacts) -> str:
    is_hub_name = not facts.backbone.startswith(("/", "builtin/"))
    base = [f"base_model: {facts.backbone}"] if is_hub_name else []
    return "\n".join(["---", f"library_name: {facts.library}", *base, "tags:", "- lora", "- dylora", "---"])


def _what(facts: CardFacts) -> str:
    return (
        f"{facts.kind} for `{facts.backbone}`, trained on {facts.task} with "
        "[DyLoRA](https://arxiv.org/abs/2210.07558): one low-rank adapter that works at every rank. "
        f"This folder runs at {facts.ranks}.\n\n"
        "Licence: that of the backbone applies to it; add it here before you pass this on."
    )


def _loading(facts: CardFacts) -> str:
    return f"## How to load it\n\n```python\n{facts.loading}\n```"


def _figures(facts: CardFacts) -> str:
    if not facts.metrics or facts.summary is None:
        return "## Metrics\n\nThis checkpoint was not validated in this form."
    ranks, names = sorted(facts.metrics[facts.monitor]), list(facts.metrics)
    rows = ["| rank | " + " | ".join(names) + " |", "| ---: |" + " ---: |" * len(names)]
    rows += [f"| {rank} | " + " | ".join(_cell(facts.metrics[name], rank) for name in names) + " |" for rank in ranks]
    cut = f", the adapter cut by {facts.cut}" if facts.cut else ""
    words = (
        f"On validation data{cut}. By {facts.monitor}, rank {facts.summary.chosen_rank} is the smallest that is "
        f"nearly as good as the best, rank {facts.summary.best_rank}."
    )
    return "\n\n".join(
        ["## Metrics at every rank", words, f"![{facts.monitor} at every rank]({PICTURE})", "\n".join(rows)]
    )


def _cell(values: Mapping[int, float], rank: int) -> str:
    return f"{values[rank]:.4f}" if rank in values else ""


def _settings(facts: CardFacts) -> str:
    rows = [f"| {name} | {value} |" for name, value in facts.settings.items()]
    table = "\n".join(["| setting | value |", "| --- | --- |", *rows])
    return f"## How it was made\n\n```bash\n{facts.command}\n```\n\n{table}"
