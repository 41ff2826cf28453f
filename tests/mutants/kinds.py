"""What a mutant is, and what it means to catch one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Catch(StrEnum):
    """Who stops a mutant."""

    BUILD = "the build"
    """The declarations do not seal, so that nothing of the service can be imported."""
    REVIEW = "the reviewed list"
    """The build, too: a declaration changed that nobody has read."""
    START = "the start-up check"
    """The service does not start, and acknowledges nothing while it runs."""
    DATABASE = "the database"
    """PostgreSQL refuses the statement or the commit."""
    RUN_TIME = "the erasure itself"
    """It looks at what it did, and raises."""
    JUDGEMENT = "privacy's judgement"
    """The answer proves nothing, or the certificate is not signed."""
    TEST = "a test"


@dataclass(frozen=True)
class Mutant:
    """One thing that somebody might do wrong, somewhere."""

    kind: str
    service: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.service} {self.target}"


@dataclass(frozen=True)
class Caught:
    """Who stopped it, in whose words."""

    by: Catch
    words: str


@dataclass(frozen=True)
class Result:
    """What became of a mutant; `test` is the test of the suite that goes red with it."""

    mutant: Mutant
    caught: Caught | None
    test: str


@contextmanager
def changed(owner: Any, name: str, value: Any) -> Iterator[None]:
    """The attribute has another value inside the block, and afterwards is where it was."""
    inherited = isinstance(owner, type) and name not in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
