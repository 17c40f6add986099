"""A table as Markdown, LaTeX, CSV or HTML."""

import csv
import html
import io
from collections.abc import Callable, Sequence
from typing import Literal

from dylora.report.table import Table

Format = Literal["markdown", "latex", "csv", "html"]
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "÷": r"$\div$",
    "—": "---",
    "[": "{[}",  # after a line's end, LaTeX would take a bracket for a length
}


def render(table: Table, form: Format) -> str:
    """The table as text, with its title, legend and notes; CSV has a line a figure and nothing else."""
    forms: dict[Format, Callable[[Table], str]] = {
        "markdown": _markdown,
        "latex": _latex,
        "csv": _csv,
        "html": _html,
    }
    return forms[form](table)


def _markdown(table: Table) -> str:
    rows = [[cell.replace("|", r"\|") for cell in row] for row in (table.heads, *table.rows)]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(table.heads))]
    lines = [f"**{table.title}**", ""] if table.title else []
    lines.append(_line(rows[0], widths))
    lines.append("|" + "|".join(f" {'-' * width} " for width in widths) + "|")
    lines += [_line(row, widths) for row in rows[1:]]
    lines += ["", table.legend] if table.legend else []
    lines += ["", *(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"


def _latex(table: Table) -> str:
    def row(cells: Sequence[str]) -> str:
        return " & ".join(map(_escaped, cells)) + r" \\"

    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{'l' * len(table.heads)}}}", r"\toprule"]
    lines += [row(table.heads), r"\midrule", *map(row, table.rows), r"\bottomrule", r"\end{tabular}"]
    words = ". ".join(part for part in (table.title, table.legend, *table.notes) if part)
    return "\n".join([*lines, rf"\caption{{{_escaped(words)}}}", r"\end{table}", "% needs the package booktabs"])


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _csv(table: Table) -> str:
    file = io.StringIO()
    names = list(dict.fromkeys(name for record in table.tidy for name in record))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.tidy)
    return file.getvalue().rstrip("\n")


def _html(table: Table) -> str:
    def row(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    lines = ["<table>", f"<caption>{html.escape(table.title)}</caption>"]
    lines += ["<thead>", row("th", table.heads), "</thead>", "<tbody>"]
    lines += [*(row("td", cells) for cells in table.rows), "</tbody>", "</table>"]
    lines += [f"<p>{html.escape(table.legend)}</p>"] if table.legend else []
    notes = [f"<li>{html.escape(note)}</li>" for note in table.notes]
    return "\n".join([*lines, *(["<ul>", *notes, "</ul>"] if notes else [])])
