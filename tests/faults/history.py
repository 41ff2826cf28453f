"""What happened during a run, noted line by line as it happens, for `tests.faults.checker` to judge.

One JSON object a line, `what` and `at` (seconds since 1970) in each. Several processes append to one
file: a line is one write, and the kernel keeps writes apart. A process that is killed leaves the
`invoke` of what it was doing without an answer, which is the truth about it: unknown.

| what | besides | meaning |
| --- | --- | --- |
| plan | consumers, bound, scenario | written first, before anything runs |
| schedule | seed, seconds, faults | of a random mix, before any of it |
| commit | op, phase: invoke, ok | somebody asked for a transaction, and was told that it committed |
| fault | kind, target, phase: injected, healed | |
| delivered | event, aggregate, sequence | the broker handed it out (D) |
| garbage | token | the suite itself put this message, which is no event, into the broker |
| poison | op | this event is made to fail: it must end as a dead letter, without effect |
| settled | seconds | everything committed had its effect so long after the last fault was healed |
| committed | event, aggregate, sequence, op | the transaction is in the database (E); noted at the end |
| published | event | the producer holds it for published; noted at the end |
| effect | consumer, event | took effect (F), in this order; noted at the end |
| dead | token | became a dead letter; noted at the end |
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class History:
    """A file to append to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.injected: list[str] = []
        """The kinds of the faults of this run, each as often as it was injected."""
        self.delivered = 0
        """How many events the broker has handed out to this process, repetitions left out."""

    def note(self, what: str, *, at: float | None = None, **more: Any) -> None:
        """One line; `at` when it happened, if not now."""
        line = {"what": what, "at": round(time.time() if at is None else at, 6), **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    @contextmanager
    def fault(self, kind: str, target: str = "") -> Iterator[None]:
        """The fault lasts as long as the block."""
        self.note("fault", kind=kind, target=target, phase="injected")
        self.injected.append(kind)
        yield
        self.note("fault", kind=kind, target=target, phase="healed")

    @contextmanager
    def commit(self, *ops: str) -> Iterator[None]:
        """A transaction, in the eyes of whoever asks for it; an error leaves open what became of it."""
        for op in ops:
            self.note("commit", op=op, phase="invoke")
        yield
        for op in ops:
            self.note("commit", op=op, phase="ok")

    def close(self) -> None:
        os.close(self._file)


def token(body: bytes) -> str:
    """What names a message that may be no event."""
    return hashlib.sha256(body).hexdigest()[:16]
