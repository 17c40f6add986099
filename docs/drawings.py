"""The drawings of the pages about concepts, as SVG: `python docs/drawings.py` writes them to `docs/images`.

Ink is `currentColor`, so that a drawing is read on light and on dark paper. They are 400 wide, for phones. What a chart
shows is read from the tables of `docs/results.md`.
"""

from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parent
WIDTH = 400
RANKS = 8
BLUE, GREEN, ORANGE, VIOLET, GREY = "#3f8fd2", "#23a07c", "#e07b16", "#a869cf", "#8c8c8c"
CUTS = {
    "LoRA, learned order": ("learned order", ORANGE),
    "LoRA, two-sided cut": ("two-sided cut", GREEN),
    "LoRA, SVD cut": ("SVD cut", BLUE),
    "DyLoRA as in the paper": ("DyLoRA", VIOLET),
    "LoRA, its first rows": ("first rows", GREY),
}
SHOWN_RANKS = (1, 2, 4, 8)


def drawing(name: str, title: str, height: int, parts: Sequence[str]) -> str:
    """A whole SVG file.

    Args:
        name: Its `id`; the ink is chosen by it where the drawing stands alone, so that a page's own ink wins.
        title: What it shows, for who cannot see it.
        height: In units of which it is 400 wide.
        parts: Its elements.
    """
    ink = f"#{name}{{color:#333}}@media (prefers-color-scheme:dark){{#{name}{{color:#ddd}}}}"
    head = f'<svg id="{name}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
    head += 'font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
    return "\n".join([head, f"<title>{title}</title>", f"<style>{ink}</style>", *parts, "</svg>", ""])


def text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    """Words whose base line begins, has its middle or ends at a point."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {more}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str = "none") -> str:
    """A rectangle with a thin line; hollow if no colour is given."""
    ink = fill if fill != "none" else "currentColor"
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" fill="{fill}" '
        f'stroke="{ink}" stroke-opacity="0.6"/>'
    )


def line(points: Sequence[tuple[float, float]], ink: str = "currentColor", width: float = 1.0, more: str = "") -> str:
    """A line through points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="{width:g}" {more}/>'


def arrow(x: float, y: float, down: float) -> list[str]:
    """An arrow that points down."""
    end = y + down
    return [line([(x, y), (x, end)]), line([(x - 4, end - 5), (x, end), (x + 4, end - 5)])]


def nested() -> str:
    """Both factors, cut at rank 3, and how often nested training trains each component."""
    colours = [BLUE if row < 3 else "none" for row in range(RANKS)]
    parts = [text(10, 18, "The adapter of one layer, cut at rank 3:")]
    parts += [box(30, 40 + 12 * row, 110, 9, colour) for row, colour in enumerate(colours)]
    parts += [text(85, 154, "lora_A: a row each", "middle")]
    parts += [box(220 + 12 * column, 36, 9, 100, colour) for column, colour in enumerate(colours)]
    parts += [text(266, 154, "lora_B: a column each", "middle")]
    parts += [text(330, 72, "used", more=f'fill="{BLUE}"'), text(330, 92, "left out")]
    parts += [text(10, 192, "Share of the steps that train a component,")]
    parts += [text(10, 209, "if every rank is drawn equally often:")]
    for row in range(RANKS):
        y = 222 + 19 * row
        parts += [text(100, y + 11, f"component {row + 1}", "end"), box(110, y, 200 * (RANKS - row) / RANKS, 13, BLUE)]
        parts += [text(116 + 200 * (RANKS - row) / RANKS, y + 11, f"{RANKS - row} of {RANKS}")]
    return drawing("nested", "An adapter cut at rank 3, and how often each component is trained", 382, parts)


def order() -> str:
    """What sorting and the learned order do to the components of a finished LoRA."""
    steps = [
        ("1. Train all components, as a LoRA does", (30, 52, 20, 44, 36, 58, 26, 40), GREY),
        ("2. Sort: the best first", (58, 52, 44, 40, 36, 30, 26, 20), BLUE),
        ("3. Learn the order, on 100 batches, for lower ranks", (62, 57, 47, 38, 32, 25, 19, 14), ORANGE),
    ]
    parts = []
    for place, (words, heights, colour) in enumerate(steps):
        top = 130 * place
        parts += [text(10, top + 18, words)]
        parts += [box(20 + 28 * k, top + 92 - height, 20, height, colour) for k, height in enumerate(heights)]
        parts += [text(258, top + 66, "rank 8:"), text(258, top + 84, "the same function" if place else "the LoRA")]
        if place < 2:
            parts += arrow(125, top + 100, 20)
    return drawing("order", "Components of a LoRA: trained, sorted, in a learned order (a sketch)", 366, parts)


def results_of(task: str) -> dict[str, list[float]]:
    """The figures of a task at the ranks 1, 2, 4 and 8, by system, from the first table of `docs/results.md`."""
    rows, current = {}, ""
    for row in (DOCS / "results.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" *") for cell in row.split("|")[1:-1]]
        if len(cells) == 7 and cells[1] in CUTS:
            current = cells[0] or current
            if current == task:
                rows[cells[1]] = [float(cell) for cell in cells[2:6]]
    return rows


def axes(left: float, top: float, bottom: float, ticks: Sequence[tuple[float, str]]) -> list[str]:
    """The ranks 1, 2, 4 and 8 below, and a thin line for each tick."""
    parts = [line([(left, y), (left + 200, y)], more='stroke-opacity="0.25"') for y, _ in ticks]
    parts += [text(left - 6, y + 4, words, "end") for y, words in ticks]
    parts += [text(rank_at(left, rank), bottom + 16, str(rank), "middle") for rank in SHOWN_RANKS]
    return [*parts, text(left + 100, bottom + 34, "rank", "middle")]


def rank_at(left: float, rank: int) -> float:
    """Where a rank stands; each doubling is as wide as the one before."""
    return left + 200 * SHOWN_RANKS.index(rank) / 3


def cuts() -> str:
    """Curves of STS-B over the ranks, as `docs/results.md` has them."""
    low, high, top, bottom, left = 78.0, 85.0, 40.0, 250.0, 46.0

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    parts = [text(10, 18, "STS-B, Pearson times 100 (higher is better)")]
    parts += axes(left, top, bottom, [(y(value), f"{value}") for value in range(78, 86)])
    figures, label = results_of("STS-B"), 66.0
    parts += ['<clipPath id="cuts-frame"><rect x="0" y="0" width="400" height="252"/></clipPath>']
    for system, (words, colour) in CUTS.items():
        points = [(rank_at(left, rank), y(value)) for rank, value in zip(SHOWN_RANKS, figures[system], strict=True)]
        parts += [line(points, colour, 2.2, 'clip-path="url(#cuts-frame)"')]
        parts += [f'<circle cx="{a:g}" cy="{b:g}" r="3" fill="{colour}"/>' for a, b in points if b <= bottom]
        parts += [line([(264, label - 4), (282, label - 4)], colour, 3), text(288, label, words)]
        parts += [text(288, label + 15, f"rank 1: {figures[system][0]:.1f}", more='fill-opacity="0.75"')]
        label += 38
    return drawing("cuts", "Rank curves of five ways to get every rank, STS-B", 290, parts)


def scaling() -> str:
    """The factor in front of the product at every rank, under the three scalings, alpha 16."""
    alpha, top, bottom, left = 16.0, 40.0, 230.0, 46.0
    laws = [
        ("alpha/b", [alpha / b for b in SHOWN_RANKS], VIOLET),
        ("alpha/sqrt(b R)", [alpha / (b * RANKS) ** 0.5 for b in SHOWN_RANKS], GREEN),
        ("alpha/max_rank", [alpha / RANKS for _ in SHOWN_RANKS], ORANGE),
    ]

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / alpha

    parts = [text(10, 18, "Factor before the product; alpha 16, max_rank 8")]
    parts += axes(left, top, bottom, [(y(value), f"{value}") for value in (0, 2, 4, 8, 12, 16)])
    for place, (words, values, colour) in enumerate(laws):
        points = [(rank_at(left, rank), y(value)) for rank, value in zip(SHOWN_RANKS, values, strict=True)]
        parts += [
            line(points, colour, 2.2),
            *(f'<circle cx="{a:g}" cy="{b:g}" r="3" fill="{colour}"/>' for a, b in points),
        ]
        parts += [line([(264, 62 + 40 * place), (282, 62 + 40 * place)], colour, 3), text(288, 66 + 40 * place, words)]
        parts += [text(288, 81 + 40 * place, f"rank 1: {values[0]:.1f}", more='fill-opacity="0.75"')]
    return drawing("scaling", "The three scalings at the ranks 1, 2, 4 and 8", 272, parts)


def choice() -> str:
    """Which way to go, as questions."""
    rows = [
        ("Do you need one rank alone, and know it?", "a plain LoRA of that rank: recipe lora", GREY),
        ("Do you reproduce the paper?", "nested training: recipe dylora", VIOLET),
        ("Do you have a trained LoRA and some texts?", "convert --calibrate (or --data)", ORANGE),
        ("Do you have a trained LoRA and no data?", "convert: sorted by singular value", BLUE),
        ("Do you train anew, for several ranks?", "fit: LoRA, then the learned order (default)", ORANGE),
    ]
    parts = []
    for place, (question, answer, colour) in enumerate(rows):
        top = 8 + 78 * place
        parts += [text(10, top + 14, question, more='font-weight="600"'), box(40, top + 24, 350, 28, colour)]
        parts += [text(52, top + 43, answer, more='fill="#fff" font-weight="600"'), text(14, top + 43, "yes")]
        if place < len(rows) - 1:
            parts += [*arrow(22, top + 50, 18), text(32, top + 66, "no")]
    return drawing("choice", "Which adapter to train, as five questions", 8 + 78 * len(rows) - 18, parts)


DRAWINGS = {"nested": nested, "order": order, "cuts_curves": cuts, "scaling": scaling, "choice": choice}

if __name__ == "__main__":
    for file, draw in DRAWINGS.items():
        (DOCS / "images" / f"{file}.svg").write_text(draw(), encoding="utf-8")
