"""Every event there is, by type."""

from contracts import consultations, directory, identity, notifications, privacy
from contracts.base import Event

_MODULES = (consultations, directory, identity, notifications, privacy)


def all_events() -> dict[str, type[Event]]:
    """Each event class under its CloudEvents type."""
    found = {
        value.event_type(): value
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    }
    return dict(sorted(found.items()))
