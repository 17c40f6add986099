"""What mkdocs adds while it builds: the help of every command, the table of errors, drawings, and the notebook."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import error_table
import jupytext

from dylora.cli import main
from dylora.cli.commands import COMMANDS

DOCS = Path(__file__).parent
COMMANDS_MARK = "<!-- the help of every command -->"
ERRORS_MARK = "<!-- every error -->"
NOTEBOOK_MARK = re.compile(r"<!-- the notebook (\S+) -->")
DRAWING = re.compile(r"!\[[^]]*\]\((?:\.\./)?(images/\w+\.svg)\)")
PREAMBLE = re.compile(r"<style>.*?</style>\n")


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 (mkdocs passes page, configuration and files)
    """Put in the place of each mark what it stands for."""
    if COMMANDS_MARK in markdown:
        markdown = markdown.replace(COMMANDS_MARK, command_reference())
    if ERRORS_MARK in markdown:
        markdown = markdown.replace(ERRORS_MARK, error_table.as_markdown())
    markdown = NOTEBOOK_MARK.sub(lambda found: notebook_page(DOCS / found[1]), markdown)
    return DRAWING.sub(lambda found: drawing(DOCS / found[1]), markdown)


def on_post_build(config: Any, **_: Any) -> None:  # noqa: ANN401
    """Put each notebook beside its page, as Jupyter opens it."""
    for source in (DOCS / "tutorials").glob("*.py"):
        jupytext.write(jupytext.read(source), Path(config["site_dir"], "tutorials", f"{source.stem}.ipynb"))


def drawing(file: Path) -> str:
    """A drawing as part of the page, so that its ink is that of the page, light or dark."""
    svg = PREAMBLE.sub("", file.read_text(encoding="utf-8"))
    return f'<figure class="drawing" style="max-width:26rem;width:100%;margin:1.5em auto">\n{svg}</figure>\n'


def notebook_page(source: Path) -> str:
    """The cells of a notebook as a page: text as it is, code in blocks."""
    cells = jupytext.read(source).cells
    shown = [
        cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
        for cell in cells
        if cell.source.strip()
    ]
    return "\n\n".join(shown)


def command_reference() -> str:
    """A section for each command: what it does, and its help."""
    sections = [f"## {name}\n\n{text}\n\n```text\n{help_of(name)}\n```" for name, text in COMMANDS.items()]
    return "\n\n".join(sections)


def help_of(command: str) -> str:
    """What `python -m dylora COMMAND --help` prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        try:
            main([command, "--help"])
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"{command} --help ended with status {end.code}") from end
    return printed.getvalue().strip()
