"""Every error that the package tells a user, read from its code: option or file, what is allowed, what to do."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "dylora"
ANYTHING = "…"  # in the place of a value that is known only when the error happens
DEPTH = 4  # how many names are looked up behind a name
HEADINGS = {
    "--": "Options of commands",
    "model.": "Options of the model (`--model…`)",
    "data.": "Data (`--data…`)",
    "rank_sampling": "Rank sampling (`--rank_sampling…`)",
    "trainer": "Trainer (`--trainer…`)",
}
OTHERS = "Files, and arguments of the library"


@dataclass(frozen=True, order=True)
class Error:
    """One place in the code that raises an `InputError`, its texts with `…` for what is known only then.

    Args:
        argument: The option, key or file at fault.
        allowed: What would have been accepted.
        fix: What to do.
        place: File of the package, and line.
    """

    argument: str
    allowed: str
    fix: str
    place: str

    @property
    def heading(self) -> str:
        """The part of the table that it stands in."""
        return next((words for start, words in HEADINGS.items() if self.argument.startswith(start)), OTHERS)


def errors() -> list[Error]:
    """All of them, in the order of what they are about."""
    return sorted(set(_found()), key=lambda error: (error.heading == OTHERS, error.heading, error))


def _found() -> Iterator[Error]:
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shared = _assignments(tree.body)
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        inner = {id(node) for each in functions for node in ast.walk(each) if node is not each and _is_function(node)}
        for function in functions:
            if id(function) not in inner:
                names = {**shared, **_assignments(list(ast.walk(function)))}
                for call in filter(_is_error, ast.walk(function)):
                    yield _error(call, names, f"{path.relative_to(PACKAGE.parent)}:{call.lineno}")


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


def _is_error(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "InputError"


def _assignments(nodes: list[ast.stmt] | list[ast.AST]) -> dict[str, list[ast.expr]]:
    """What each name is set to, all of it."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name, value in _pairs(target, node.value):
                    found.setdefault(name, []).append(value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(node.value)
    return found


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return [pair for each in zip(target.elts, value.elts, strict=True) for pair in _pairs(*each)]
    return []


def _error(call: ast.AST, names: dict[str, list[ast.expr]], place: str) -> Error:
    assert isinstance(call, ast.Call)
    texts = [" ".join(_text(each, names).split()) for each in call.args if not isinstance(each, ast.Starred)]
    argument, allowed, _, fix = [*texts, *[ANYTHING] * (4 - len(texts))]
    return Error(argument, allowed, fix, place)


def _text(node: ast.expr, names: dict[str, list[ast.expr]], depth: int = DEPTH) -> str:
    """The text of an expression, as far as the code says it."""
    if isinstance(node, ast.Constant):
        return ANYTHING if node.value is None else str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each, names, depth) for each in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, names, depth) if isinstance(node.value, ast.Name) else ANYTHING
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, names, depth) + _text(node.right, names, depth)
    if isinstance(node, ast.IfExp):
        return _either([_text(node.body, names, depth), _text(node.orelse, names, depth)])
    if isinstance(node, ast.Name) and depth and node.id in names:
        return _either([_text(each, names, depth - 1) for each in names[node.id]])
    return ANYTHING


def _either(texts: list[str]) -> str:
    """The different ones of several texts."""
    known = [text for text in dict.fromkeys(texts) if text.strip(ANYTHING + " ")]
    return "; or: ".join(known) if known else ANYTHING


def as_markdown() -> str:
    """A table for each part."""
    lines, heading = [], ""
    for error in dict.fromkeys(replace(each, place="") for each in errors()):
        if error.heading != heading:
            heading = error.heading
            lines += ["", f"## {heading}", "", "| about | must be | what to do |", "|---|---|---|"]
        cells = [f"`{error.argument}`", _cell(error.allowed), _cell(error.fix)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(words: str) -> str:
    """Words that mean nothing to Markdown."""
    return "".join(f"&#{ord(letter)};" if letter in "|<>*_`[]{}#&" else letter for letter in words)
