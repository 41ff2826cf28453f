"""What must hold: in every state, and when nothing is left to do."""

from tests.simulation.state import PARTNER, PRIVACY, Broken, World


def check(w: World) -> None:
    """What must hold in every state. Raises `Broken`."""
    for name, site in w.sites.items():
        if not site.rows.isdisjoint(w.forgotten[name]) and name not in w.closed:
            back = sorted(site.rows & w.forgotten[name])
            raise Broken(f"{name} serves {back}, whom it had erased")
    privacy = w.sites[PRIVACY]
    if len(privacy.erasures) > 1:
        active = [erasure[0] for erasure in privacy.erasures if erasure not in privacy.done]
        if len(active) != len(set(active)):
            raise Broken("two active erasures of one person")


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
