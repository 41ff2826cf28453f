"""Every seam where a process can die with a visible difference bears one label beside it.

A seam is a call after which somebody else can see something that was not so before: a commit, a
publish, an answer to the broker, a file, a mail. Beside it: the statement that runs just before or
just after it is `crash.point("…")`. `tests/faults` then dies at every label.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.seams import FILES, all_labels, label_of, parsed

WRAPPED = {
    ("chassis/db.py", "transaction"): "every call of it is a seam",
    ("chassis/storage.py", "put"): "every call of it is a seam",
    ("chassis/storage.py", "put_file"): "every call of it is a seam",
    ("chassis/bus.py", "publish"): "every call of it is a seam",
    ("chassis/ledger.py", "append"): "every call of it is a seam; a folder has more, inside",
    ("chassis/topology.py", "publish"): "a question that the broker refuses: nothing is published",
}
"""Functions whose own seams need no label, and why."""

FILE_CALLS = {"link", "symlink", "rename", "replace", "remove", "unlink", "fsync", "truncate"}
BROKER_CALLS = {"ack", "nack", "reject"}
STORAGE_CALLS = {"put", "put_file", "delete"}
OBSTORE_CALLS = {"put_async", "delete_async", "copy_async", "rename_async"}
NOT_THE_BROKER = {"outbox", "consultations", "found"}
"""Whose `publish` is a row, or a word of the trade."""

READS = {
    "access.owns_file",
    "broadcasts.unsent",
    "broadcasts.waiting",
    "collecting.prepare",
    "current_principal",
    "live_schema.compare",
    "live_schema.holds_nothing",
    "live_schema.read",
    "queries.due_deliveries",
    "queries.request_behind",
    "readable",
    "restores.is_behind",
    "actions.next_waiting",
}
"""Calls that change nothing: a transaction of nothing else has nothing to commit."""

BESIDES = {
    "erasure.after_files",
    "erasure.after_locks",
    "ledger.after_draft",
    "ledger.after_fsync",
    "outbox.before_commit",
    "privacy.after_export_written",
    "relay.after_ack_before_mark",
    "relay.after_confirm",
    "relay.before_publish",
    "restore.before_open",
}
"""Labels that no seam would miss: it has another one on its other side, or it is a moment inside one."""


@dataclass(frozen=True)
class Seam:
    path: str
    line: int
    what: str
    near: frozenset[str]
    """The labels beside it."""


def seams(path: str, tree: ast.Module) -> Iterator[Seam]:
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    raw = any(isinstance(n, ast.Import) and n.names[0].name == "asyncpg" for n in ast.walk(tree))
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if not _is_seam(call, raw=raw, constants=constants):
            continue
        chain = [node := call]
        while (node := parents.get(node)) is not None:  # type: ignore[assignment]
            chain.append(node)
        functions = [n.name for n in chain if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        if functions and (path, functions[0]) in WRAPPED:
            continue
        statement = next(node for node in chain if isinstance(node, ast.stmt))
        if isinstance(statement, ast.AsyncWith) and _only_reads(statement):
            continue
        near = {label_of(other) for other in _beside(statement, parents)} - {None}
        yield Seam(path, call.lineno, ast.unparse(call.func), frozenset(map(str, near)))


def _is_seam(call: ast.Call, *, raw: bool, constants: dict[str, ast.expr]) -> bool:
    assert isinstance(call.func, ast.Attribute)
    what, whose = call.func.attr, ast.unparse(call.func.value)
    owner = whose.rpartition(".")[2]
    if what in ("transaction", "commit") or (what == "begin" and owner.endswith("engine")):
        return True
    if what in BROKER_CALLS:
        return True
    if what == "publish":
        return owner not in NOT_THE_BROKER
    if what in STORAGE_CALLS and owner == "storage":
        return True
    if what in OBSTORE_CALLS or (owner == "os" and what in FILE_CALLS):
        return True
    if what in ("unlink", "write_text", "write_bytes", "rmdir", "mkdir"):
        return True
    if what == "append" and owner == "ledger":
        return True
    if (owner, what) in {("mail", "send"), ("aiosmtplib", "send")}:
        return owner == "mail"  # the other one is what `mail.send` is made of
    if raw and what == "execute" and owner.endswith("connection"):
        statement = call.args[0]
        text = constants.get(statement.id) if isinstance(statement, ast.Name) else statement
        found = [n.value for n in ast.walk(text or statement) if isinstance(n, ast.Constant)]
        return not (found and str(found[0]).strip().startswith("SELECT"))
    return False


def _only_reads(block: ast.AsyncWith) -> bool:
    called = [
        ast.unparse(node.func)
        for statement in block.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
    ]
    return bool(called) and set(called) <= READS


def _beside(statement: ast.stmt, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.stmt | None]:
    """What runs just before and just after a statement; just before a commit runs the block's end."""
    if isinstance(statement, ast.AsyncWith):
        yield statement.body[-1]
    for step in (1,) if isinstance(statement, ast.AsyncWith) else (-1, 1):
        yield _next(statement, parents, step)


def _next(statement: ast.stmt, parents: dict[ast.AST, ast.AST], step: int) -> ast.stmt | None:
    parent = parents[statement]
    for field in ("body", "orelse", "finalbody"):
        block: list[ast.stmt] = getattr(parent, field, [])
        if statement not in block:
            continue
        place = block.index(statement) + step
        if 0 <= place < len(block):
            return block[place]
        if isinstance(parent, ast.Try) and (field, step) == ("body", 1) and parent.orelse:
            return parent.orelse[0]
        if isinstance(parent, ast.Try) and (field, step) == ("orelse", -1):
            return parent.body[-1]
        if isinstance(parent, ast.Try) and (field, step) == ("finalbody", -1):
            return (parent.orelse or parent.body)[-1]
        # Into a block and out of it: but a loop comes round again, and a function is its own place.
        if isinstance(parent, ast.With | ast.AsyncWith | ast.Try | ast.If):
            return _next(parent, parents, step)
    return None


def all_seams() -> list[Seam]:
    return [seam for path, tree in parsed() for seam in seams(path, tree)]


def test_every_seam_has_a_label_beside_it() -> None:
    every = all_seams()
    assert len(every) > 70
    bare = [seam for seam in every if not seam.near]
    assert not bare, "put crash.point(…) beside:\n" + "\n".join(
        f"{seam.path}:{seam.line}: {seam.what}" for seam in bare
    )


def test_no_label_is_used_twice_and_each_says_where() -> None:
    counted = Counter(all_labels())
    assert [label for label, times in counted.items() if times > 1] == []
    assert all(label.count(".") == 1 for label in counted)
    mentioned = sum(path.read_text(encoding="utf-8").count("crash.point(") for path in FILES)
    assert mentioned == len(counted), "a label is a literal in a statement of its own"


def test_a_label_that_is_taken_away_is_missed() -> None:
    every = all_seams()
    missed = {label for label in all_labels() if any(seam.near == {label} for seam in every)}
    assert set(all_labels()) - missed == BESIDES


def test_nothing_is_excused_that_is_not_there() -> None:
    functions = {
        (path, node.name)
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(WRAPPED) <= functions
