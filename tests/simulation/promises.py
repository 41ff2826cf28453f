"""What must hold: in every state, and when nothing is left to do."""

from tests.simulation.state import PARTNER, PRIVACY, Broken, World


def check(w: World) -> None:
    """What must hold in every state. Raises `Broken`."""
    for name, site in w.sites.items():
        if name not in w.closed:
            if back := site.rows & w.forgotten[name]:
                raise Broken(f"{name} serves {sorted(back)}, whom it had erased")
            if any(times > 1 for times in site.effects.values()):
                raise Broken(f"an event took effect twice in {name}")
    privacy = w.sites[PRIVACY]
    active = [erasure[0] for erasure in privacy.erasures if erasure not in privacy.done]
    if len(active) != len(set(active)):
        raise Broken("two active erasures of one person")
    for message in w.bus:
        if message[0] == "erase" and w.ledger.get(message[2]) != message[3]:
            raise Broken(f"position {message[2]} is broadcast, and the copy does not hold it")


def must_end_erased(w: World) -> set[int]:
    """Whoever asked, as far as anything still knows it."""
    asked = {erasure[0] for erasure in w.sites[PRIVACY].erasures}
    asked |= {erasure[0] for erasure in w.sites[w.scope.services[0]].wishes}
    return asked | {e[0] for entry in w.ledger.values() for e in w.entries[entry][0]}


def _told_partner(w: World) -> set[int]:
    """Of whom the partner was told, unless it was let off."""
    return {
        erasure[0]
        for entry in w.ledger.values()
        for erasure in w.entries[entry][0]
        if PARTNER in w.entries[entry][1] and (erasure, PARTNER) not in w.waived
    }


def check_end(w: World) -> None:
    """What must hold when nothing is left to do. Raises `Broken`."""
    privacy = w.sites[PRIVACY]
    if w.closed:
        raise Broken(f"never opens again: {sorted(w.closed)}")
    for erasure in privacy.erasures:
        if erasure not in privacy.done:
            raise Broken(f"never completed: {erasure}")
    for name, site in w.sites.items():
        told = must_end_erased(w) if name != PARTNER else _told_partner(w)
        if left := site.rows & told:
            raise Broken(f"{name} still holds {sorted(left)}")
        if site.outbox:
            raise Broken(f"never said by {name}: {site.outbox[0]}")
