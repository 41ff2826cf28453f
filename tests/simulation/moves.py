"""What may happen next."""

from collections.abc import Iterator

from tests.simulation.model import (
    may_adopt,
    may_complete,
    open_steps,
    receiver,
    under_way,
)
from tests.simulation.state import PARTNER, PRIVACY, Move, World


def moves(w: World, *, faults: bool = True) -> list[Move]:
    """Everything that may happen next; without `faults`, only what the system does by itself."""
    found: list[Move] = []
    privacy, open_ = w.sites[PRIVACY], PRIVACY not in w.closed
    for name, site in w.sites.items():
        if name in w.closed:
            found.append(("reconcile", name))
            continue
        if site.outbox:
            found.append(("relay", name))
        if name != PARTNER:
            found.extend(("overdue", name, p) for p in w.ledger if p not in site.applied)
        if name in w.writing:
            found.append(("commit", name))
    for message in w.bus:
        if receiver(message) not in w.closed:
            found.append(("deliver", message))
    for erasure in sorted(w.sites[w.scope.services[0]].wishes):
        if w.scope.services[0] not in w.closed and erasure not in privacy.erasures:
            found.append(("tell again", erasure))
    if open_ and len(w.ledger) > len(privacy.broadcasts) and "copy noticed" in w.guards:
        found.append(("notice",))
    if open_:
        for k in range(w.scope.replicas):
            if k in w.hands or w.lock not in (None, k):
                continue
            unsent = [p for p, (_, sent) in privacy.broadcasts.items() if not sent]
            ready = [p for p in unsent if p not in w.ledger or may_adopt(w, p)]
            found.extend(("take", k, position) for position in ready)
            if not ready and None in privacy.erasures.values():
                found.append(("reserve", k))
        if any(may_complete(w, erasure) for erasure in privacy.erasures):
            found.append(("complete",))
        for position, (entry, sent) in privacy.broadcasts.items():
            if sent and open_steps(w, entry) and not under_way(w, position):
                found.append(("chase", position))
    for k, (_, _, copied) in w.hands.items():
        if not copied:
            found.append(("copy", k))
        elif open_:
            found.append(("send", k))
    if faults:
        found.extend(_disturbances(w))
    elif open_:
        found.extend(_help(w))
    return found


def _disturbances(w: World) -> Iterator[Move]:
    """People and faults: what the system does not do by itself."""
    scope, spent = w.scope, w.spent.get
    writer = w.scope.services[1]
    if spent("writes", 0) < scope.writes and writer not in w.writing and writer not in w.closed:
        yield from (("write", p) for p in range(scope.people))
    for p in range(scope.people):
        for door in scope.doors:
            where = scope.services[0] if door == "account" else PRIVACY
            if where not in w.closed and not spent(f"ask {p} {door}", 0):
                yield ("ask", p, door)
    if spent("crashes", 0) < scope.crashes:
        yield from (("crash", k) for k in w.hands)
        yield from (("crash", name) for name in w.writing)
        yield from (
            ("relay and die", n) for n, s in w.sites.items() if s.outbox and n not in w.closed
        )
    if spent("repeats", 0) < scope.repeats:
        yield from (("deliver and die", m) for m in w.bus if receiver(m) not in w.closed)
    if spent("restores", 0) < scope.restores:
        yield from (("back up", n) for n in scope.services if n not in w.backups)
        yield from (("restore", name) for name in w.backups)
    if scope.partner and PRIVACY not in w.closed and spent("comings", 0) < scope.comings:
        yield ("dismiss",) if w.sites[PRIVACY].active.get(PARTNER) else ("admit",)
    if spent("lies", 0) < scope.lies and w.sites[PRIVACY].broadcasts:
        yield from (("lie", n) for n in scope.services if n != PRIVACY)


def _help(w: World) -> Iterator[Move]:
    """What an operator or the DPO does about a partner that has gone."""
    privacy = w.sites[PRIVACY]
    for position, (entry, sent) in privacy.broadcasts.items():
        named = not sent and position in w.ledger and PARTNER in w.entries[entry][1]
        if named and PARTNER not in privacy.active:
            yield ("admit",)
    for (erasure, participant), proof in privacy.steps.items():
        if proof is None and not privacy.active.get(participant, False):
            yield ("waive", erasure, participant)
