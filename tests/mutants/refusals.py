"""The refusals in a piece of code, read from its source, and the same code without one of them.

A refusal is a `raise`, a `yield` or an `append` of what is wrong.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

_COLLECTING = ("append", "extend")


def _refuses(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return node.exc is not None
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    return isinstance(value, ast.Yield) or (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in _COLLECTING
        and isinstance(value.func.value, ast.Name)
        and value.func.value.id == "wrong"
    )


def refusals(function: FunctionType) -> Iterator[tuple[int, str]]:
    """The number of each refusal in a function, and its code."""
    found = [node for node in ast.walk(_tree(function)) if _is_refusal(node)]
    for number, node in enumerate(found):
        yield number, ast.unparse(node).partition("\n")[0]


def _is_refusal(node: ast.AST) -> bool:
    return isinstance(node, ast.stmt) and _refuses(node)


def _tree(function: FunctionType) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


class _Without(ast.NodeTransformer):
    def __init__(self, target: ast.AST) -> None:
        self.target = target

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.Pass() if node is self.target else self.generic_visit(node)


def without(function: FunctionType, number: int) -> Callable[..., Any]:
    """The same function, but for one refusal."""
    tree = _tree(function)
    target = [node for node in ast.walk(tree) if _is_refusal(node)][number]
    changed = ast.fix_missing_locations(_Without(target).visit(tree))
    made: dict[str, Any] = {}
    exec(compile(changed, inspect.getfile(function), "exec"), function.__globals__, made)
    found: Callable[..., Any] = made[function.__name__]
    return found


@contextmanager
def removed(module: Any, name: str, number: int) -> Iterator[None]:
    """Inside the block that function of the module refuses one thing less."""
    before = getattr(module, name)
    setattr(module, name, without(before, number))
    try:
        yield
    finally:
        setattr(module, name, before)


def refusals_of(module: ModuleType) -> Iterator[tuple[str, int, str]]:
    """Every refusal of every function of the module: its name, number and code."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__:
            for number, code in refusals(function):
                yield name, number, code
