"""The model card of an exported adapter, `README.md`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dylora.deploy.figures import PICTURE, Figures


@dataclass(frozen=True)
class CardFacts:
    """What a card says.

    Attributes:
        title: Its heading.
        kind: What the folder holds, in words.
        library: `peft`, `transformers` or `dylora`, as the hub knows it.
        backbone: Name of the backbone.
        task: What it was trained on; None where that is not known, of a LoRA that PEFT trained.
        ranks: The ranks that the folder can run at.
        settings: What the adapter is made of, by name.
        loading: Python that loads it.
        command: The command that wrote the folder.
        figures: Validation metrics at every rank, where there are any.
        cut: The way that the adapter was cut; None as it was trained.
        budget: Ranks per module in words; None for the same rank in all.
        budget_metrics: What was reached with them on validation data.
    """

    title: str
    kind: str
    library: str
    backbone: str
    task: str | None
    ranks: str
    settings: Mapping[str, object]
    loading: str
    command: str
    figures: Figures | None = None
    cut: str | None = None
    budget: str | None = None
    budget_metrics: Mapping[str, float] = field(default_factory=dict)


def card(facts: CardFacts) -> str:
    """The card as Markdown, with the fields that the hub reads at its head."""
    parts = [_head(facts), f"# {facts.title}", _what(facts), _loading(facts), _figures(facts), _settings(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: CardFacts) -> str:
    is_hub_name = not facts.backbone.startswith(("/", "builtin/"))
    base = [f"base_model: {facts.backbone}"] if is_hub_name else []
    return "\n".join(["---", f"library_name: {facts.library}", *base, "tags:", "- lora", "- dylora", "---"])


def _what(facts: CardFacts) -> str:
    trained = f"trained on {facts.task} with [DyLoRA](https://arxiv.org/abs/2210.07558)"
    made = "made of a LoRA that PEFT trained, its components sorted" if facts.task is None else trained
    return (
        f"{facts.kind} for `{facts.backbone}`, {made}: one low-rank adapter that works at every rank. "
        f"This folder runs at {facts.ranks}.\n\n"
        "Licence: that of the backbone applies to it; add it here before you pass this on."
    )


def _loading(facts: CardFacts) -> str:
    return f"## How to load it\n\n```python\n{facts.loading}\n```"


def _figures(facts: CardFacts) -> str:
    if facts.budget:
        rows = [f"| {name} | {value:.4f} |" for name, value in facts.budget_metrics.items()]
        table = "\n".join(["| metric | value |", "| --- | ---: |", *rows])
        return f"## Metrics\n\nOn validation data. {facts.budget}.\n\n{table}"
    if facts.figures is None:
        return "## Metrics\n\nThis checkpoint was not validated in this form."
    figures = facts.figures
    monitor, summary, choice = figures.monitor, figures.summary, figures.choice
    cut = f", the adapter cut by {facts.cut}" if facts.cut else ""
    by_figures = f"rank {summary.chosen_rank} is the smallest nearly as good as the best, rank {summary.best_rank}."
    evidence = f"chosen rank: {choice.rank}. {choice.statement}" if choice else by_figures
    words = f"On validation data{cut}. By {monitor}, {evidence}"
    return "\n\n".join(["## Metrics at every rank", words, f"![{monitor} at every rank]({PICTURE})", _table(figures)])


def _table(figures: Figures) -> str:
    """A row a rank, a column a metric; beside the monitored one its interval, where it is known."""
    columns = {name: {rank: f"{v:.4f}" for rank, v in values.items()} for name, values in figures.metrics.items()}
    if figures.choice:
        interval = {rank: f"{e.metric.low:.4f} to {e.metric.high:.4f}" for rank, e in figures.choice.evidence.items()}
        columns = {figures.monitor: columns.pop(figures.monitor), "95 % interval": interval, **columns}
    rows = ["| rank | " + " | ".join(columns) + " |", "| ---: |" + " ---: |" * len(columns)]
    for rank in sorted(figures.metrics[figures.monitor]):
        rows.append(f"| {rank} | " + " | ".join(cells.get(rank, "") for cells in columns.values()) + " |")
    return "\n".join(rows)


def _settings(facts: CardFacts) -> str:
    rows = [f"| {name} | {value} |" for name, value in facts.settings.items()]
    table = "\n".join(["| setting | value |", "| --- | --- |", *rows])
    return f"## How it was made\n\n```bash\n{facts.command}\n```\n\n{table}"
