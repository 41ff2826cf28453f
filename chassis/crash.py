"""Crash points: labelled seams at which a fault test makes the process die, as a power cut would.

`CCIB_CRASH_AT=relay.after_ack_before_mark` kills the process with SIGKILL when it gets there; a
label followed by `:3` at its third passage. Without the variable a point costs one comparison.
"""

import os
import signal

_label, _, _passage = os.environ.get("CCIB_CRASH_AT", "").partition(":")
_left = int(_passage or 1)


def point(name: str) -> None:
    """Die here if this is the point the environment names."""
    global _left  # noqa: PLW0603 - the process dies of it
    if not _label or name != _label:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
