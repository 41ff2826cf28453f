"""Crash points: labelled seams at which a fault test makes the process die, as a power cut would.

`CCIB_CRASH_AT=relay.after_ack_before_mark` kills the process with SIGKILL when it gets there; a
label followed by `:3` at its third passage. Without the variable a point costs one comparison.
"""

import os
import signal

VARIABLE = "CCIB_CRASH_AT"

_label: str | None = None
_left = 0


def arm(where: str) -> None:
    """Die at that label, or at its third passage as `label:3`; empty: nowhere."""
    global _label, _left
    label, _, passage = where.partition(":")
    _label, _left = label or None, int(passage or 1)


def point(name: str) -> None:
    """Die here if this is the point the environment names."""
    global _left  # noqa: PLW0603 - the process dies of it
    if name != _label:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
