"""The labels of the product's crash points, read from its source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOTS = ("chassis", "services")
FILES = [
    path
    for root in ROOTS
    for path in sorted(Path(root).rglob("*.py"))
    if "versions" not in path.parts and "reference" not in path.parts
]


@cache
def parsed() -> list[tuple[str, ast.Module]]:
    """Every file that may have labels."""
    return [(path.as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in FILES]


def all_labels() -> list[str]:
    """Every label, in the order of the files."""
    return [label for _, tree in parsed() for label in _labels(tree)]


def _labels(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and (label := label_of(node)):
            yield label


def label_of(node: ast.stmt | None) -> str | None:
    """The label of a statement that is a crash point, or that is one on a condition."""
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id="crash"), attr="point"),
                args=[ast.Constant(value=str(label))],
            )
        ):
            return label
        case ast.If(body=[only], orelse=[]):
            return label_of(only)
    return None
