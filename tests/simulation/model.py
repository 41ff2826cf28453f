"""What each move does: one transaction, or one step outside of any."""

from typing import Any

from tests.simulation.state import PARTNER, PRIVACY, Broken, Message, Move, Site, World


def step(w: World, move: Move) -> None:
    """Make one move in place. Raises `Broken` for a promise that the move itself breaks."""
    name, *about = move
    _STEPS[name](w, *about)


# --- people


def _write(w: World, person: int) -> None:
    """A transaction inserts a row, whose foreign key looks at the tombstone."""
    w.spent["writes"] = w.spent.get("writes", 0) + 1
    writer = w.scope.services[1]
    if person in w.sites[writer].tombs:
        return  # refused: by the token's owner, or by the key
    w.writing[writer] = person


def _commit(w: World, name: str) -> None:
    person = w.writing.pop(name)
    site = w.sites[name]
    site.rows.add(person)
    w.facts += 1
    site.outbox.append(("fact", "*", person, w.facts))


def _ask(w: World, person: int, door: str) -> None:
    w.spent[f"ask {person} {door}"] = 1
    if door == "account":
        identity = w.sites[w.scope.services[0]]
        if person in identity.rows and not any(p == person for p, _ in identity.wishes):
            identity.wishes.add((person, door))
            identity.outbox.append(("wish", (person, door)))
    else:
        _request(w, (person, door))


def _tell_again(w: World, erasure: tuple[int, str]) -> None:
    message = ("wish", erasure)
    w.bus[message] = None


def _request(w: World, erasure: tuple[int, str]) -> None:
    """One active erasure per person: a further wish follows the one there is."""
    site, person = w.sites[PRIVACY], erasure[0]
    known = [e for e in site.erasures if e[0] == person]
    if erasure in known:
        return
    if "one active" in w.guards and any(e not in site.done or person in site.tombs for e in known):
        return
    site.erasures[erasure] = None


# --- the bus


def receiver(message: Message) -> str:
    return str(message[1]) if message[0] in ("fact", "erase") else PRIVACY


def _relay(w: World, name: str, *, die: bool = False) -> None:
    site = w.sites[name]
    message = site.outbox[0]
    match message:
        case ("fact", _, person, number):
            for to in w.scope.services[2:]:
                w.bus["fact", to, person, number] = None
        case ("erase", _, position, entry):
            if w.ledger.get(position) != entry:
                raise Broken(f"position {position} is broadcast, and the copy does not hold it")
            for to in w.sites:
                if to != PARTNER or w.sites[PRIVACY].active.get(PARTNER):
                    w.bus["erase", to, position, entry] = None
        case _:
            w.bus[message] = None
    if die:  # after the broker took it, before the row was deleted
        w.spent["crashes"] = w.spent.get("crashes", 0) + 1
    else:
        site.outbox.pop(0)


def _relay_and_die(w: World, name: str) -> None:
    _relay(w, name, die=True)


def _deliver(w: World, message: Message) -> None:
    match message:
        case ("fact", to, person, _):
            _hear(w, w.sites[to], person, message)
        case ("wish", erasure):
            _request(w, erasure)
        case ("erase", to, position, entry):
            if not _apply(w, to, position, entry):
                return  # a writer holds the person: the command waits
        case ("answer", who, position, entry, counted):
            _judge(w, who, position, entry, dict(counted))
    w.bus.pop(message, None)


def _deliver_and_die(w: World, message: Message) -> None:
    """Committed, but the broker was not told: it comes again."""
    w.spent["repeats"] = w.spent.get("repeats", 0) + 1
    _deliver(w, message)
    w.bus[message] = None


def _hear(w: World, site: Site, person: int, message: Message) -> None:
    if message in site.inbox and "inbox" in w.guards:
        return
    site.inbox.add(message)
    if person in site.tombs and "fence" in w.guards:
        return
    if person in site.tombs and "foreign key" in w.guards:
        raise Broken("a late event was not fenced: it fails for ever, and holds back its aggregate")
    site.rows.add(person)
    site.effects[message] = site.effects.get(message, 0) + 1
    if site.effects[message] > 1:
        raise Broken("an event took effect twice in one database")


# --- forgetting


def _apply(w: World, name: str, position: int, entry: int) -> bool:
    """One transaction: erase, remember the position, answer. False while a writer is in the way."""
    site = w.sites[name]
    people = [erasure[0] for erasure in w.entries[entry][0]]
    if "foreign key" in w.guards and w.writing.get(name) in people:
        return False
    recorded = site.applied.get(position)
    if recorded is not None and recorded[0] != entry:
        raise Broken(f"{name} was given two entries of position {position}")
    if recorded is None or "applied" not in w.guards:
        counted = tuple((p, int(p in site.rows)) for p in sorted(set(people)))
        if recorded is None:
            w.truths.setdefault((name, entry), set()).add(counted)
        site.rows.difference_update(people)
        site.tombs.update(people)
        site.wishes = {wish for wish in site.wishes if wish[0] not in people}
        site.applied[position] = (entry, counted)
        w.forgotten[name].update(people)
    answer = ("answer", name, position, entry, site.applied[position][1])
    if name == PARTNER:
        w.bus[answer] = None
    elif answer not in site.outbox:
        site.outbox.append(answer)
    return True


def _judge(w: World, who: str, position: int, entry: int, counted: dict[int, int]) -> None:
    """Close the steps of a participant that shows what it did about this very entry."""
    site = w.sites[PRIVACY]
    known = site.broadcasts.get(position)
    if known is None or ("entry hash" in w.guards and known[0] != entry):
        return
    for erasure in w.entries[known[0]][0]:
        if site.steps.get((erasure, who), False) is None:
            site.steps[erasure, who] = (entry, counted.get(erasure[0], 0))


def _overdue(w: World, name: str, position: int) -> None:
    """A command that has not come is taken from the copy."""
    _apply(w, name, position, w.ledger[position])


def _lie(w: World, who: str) -> None:
    """An answer about an entry that nobody reserved, at a position that is known."""
    w.spent["lies"] = w.spent.get("lies", 0) + 1
    for position in w.sites[PRIVACY].broadcasts:
        w.bus["answer", who, position, -1, ()] = None


# --- privacy's jobs


def _reserve(w: World, k: int) -> None:
    site = w.sites[PRIVACY]
    waiting = tuple(sorted(e for e, position in site.erasures.items() if position is None))
    participants = tuple(sorted(n for n, active in site.active.items() if active))
    position = max(site.broadcasts, default=0) + 1
    w.entries.append((waiting, participants))
    site.broadcasts[position] = (len(w.entries) - 1, False)
    for erasure in waiting:
        site.erasures[erasure] = position
        for participant in participants:
            site.steps[erasure, participant] = None
    del k


def _take(w: World, k: int, position: int) -> None:
    """Read what is reserved; the lock is the database's, and goes with its connections."""
    w.hands[k] = (
        position,
        w.sites[PRIVACY].broadcasts[position][0],
        "ledger first" not in w.guards,
    )
    w.lock = k


def _copy(w: World, k: int) -> None:
    """Write the entry outside the database, once; another one there means another past."""
    position, entry, _ = w.hands[k]
    if w.ledger.setdefault(position, entry) != entry:
        _let_go(w, k)
        w.closed.add(PRIVACY)
        w.rebuilt = False
    else:
        w.hands[k] = (position, entry, True)


def _send(w: World, k: int) -> None:
    position, entry, _ = w.hands[k]
    site = w.sites[PRIVACY]
    _let_go(w, k)
    found = site.broadcasts.get(position)
    if found is None or found[1] or ("what was copied" in w.guards and found[0] != entry):
        return
    if not _adopt(w, position):
        return
    site.broadcasts[position] = (found[0], True)
    site.outbox.append(("erase", "*", position, found[0]))
    if "ledger first" not in w.guards:
        w.hands[k] = (position, entry, False)


def _let_go(w: World, k: int) -> None:
    w.hands.pop(k, None)
    if w.lock == k:
        w.lock = None


def _adopt(w: World, position: int) -> bool:
    """Everybody whom the entry names has an erasure here with its steps. False: not yet."""
    site, whole = w.sites[PRIVACY], may_adopt(w, position)
    named, participants = w.entries[site.broadcasts[position][0]]
    for erasure in named:
        if not hindered(site, erasure) and site.erasures.get(erasure) is None:
            site.erasures[erasure] = position
        if site.erasures.get(erasure) == position and all(p in site.active for p in participants):
            for participant in participants:
                if site.active[participant] or "frozen again" in w.guards:
                    site.steps.setdefault((erasure, participant), None)
    return whole


def may_adopt(w: World, position: int) -> bool:
    site = w.sites[PRIVACY]
    named, participants = w.entries[site.broadcasts[position][0]]
    return all(p in site.active for p in participants) and not any(
        hindered(site, erasure) for erasure in named
    )


def hindered(site: Site, erasure: tuple[int, str]) -> bool:
    """Whether another erasure of this person must end first."""
    return erasure not in site.erasures and any(
        e[0] == erasure[0] and e not in site.done for e in site.erasures
    )


def _chase(w: World, position: int) -> None:
    site = w.sites[PRIVACY]
    site.outbox.append(("erase", "*", position, site.broadcasts[position][0]))


def under_way(w: World, position: int) -> bool:
    """Whether something about the position is still moving: asking again would only add to it."""
    return any(m[0] in ("erase", "answer") and m[2] == position for m in w.bus) or any(
        m[0] in ("erase", "answer") and m[2] == position for s in w.sites.values() for m in s.outbox
    )


def open_steps(w: World, entry: int) -> bool:
    steps = w.sites[PRIVACY].steps
    named, participants = w.entries[entry]
    return any(steps.get((e, p), 0) is None for e in named for p in participants)


def may_complete(w: World, erasure: tuple[int, str]) -> bool:
    site = w.sites[PRIVACY]
    position = site.erasures[erasure]
    if erasure in site.done or position is None or not site.broadcasts[position][1]:
        return False
    proofs = [
        proof
        for (one, participant), proof in site.steps.items()
        if one == erasure and ("frozen participants" in w.guards or site.active.get(participant))
    ]
    return bool(proofs) and None not in proofs


def _complete(w: World) -> None:
    site = w.sites[PRIVACY]
    for erasure in list(site.erasures):
        if may_complete(w, erasure):
            site.done.add(erasure)
            participants = w.entries[site.broadcasts[site.erasures[erasure] or 0][0]][1]
            for participant in participants:
                _is_proven(w, erasure, participant)


def _is_proven(w: World, erasure: tuple[int, str], participant: str) -> None:
    """The certificate says what that participant did: it must have."""
    site = w.sites[PRIVACY]
    if (erasure, participant) in w.waived:
        return
    proof = site.steps.get((erasure, participant))
    entry = site.broadcasts[site.erasures[erasure] or 0][0]
    truths = w.truths.get((participant, entry), set())
    if proof is None or not truths:
        raise Broken(f"completed, and {participant} has proven nothing")
    if all(dict(truth).get(erasure[0]) != proof[1] for truth in truths):
        raise Broken(f"{participant} is said to have found {proof[1]} rows, and found {truths}")


def _waive(w: World, erasure: tuple[int, str], participant: str) -> None:
    w.sites[PRIVACY].steps[erasure, participant] = ("waived", 0)
    w.waived.add((erasure, participant))


def _dismiss(w: World) -> None:
    w.spent["comings"] = w.spent.get("comings", 0) + 1
    w.sites[PRIVACY].active[PARTNER] = False
    w.bus = {m: None for m in w.bus if m[:2] != ("erase", PARTNER)}  # its queue goes with it


def _admit(w: World) -> None:
    w.spent["comings"] = w.spent.get("comings", 0) + 1
    w.sites[PRIVACY].active[PARTNER] = True


# --- faults


def _crash(w: World, who: int | str) -> None:
    w.spent["crashes"] = w.spent.get("crashes", 0) + 1
    if isinstance(who, int):
        _let_go(w, who)
    else:
        w.writing.pop(who, None)


def _back_up(w: World, name: str) -> None:
    w.backups[name] = w.sites[name].copy()


def _restore(w: World, name: str) -> None:
    """The database is an earlier one; the process lives on, its connections do not."""
    w.spent["restores"] = w.spent.get("restores", 0) + 1
    w.sites[name] = w.backups.pop(name)
    w.writing.pop(name, None)
    if name == PRIVACY:
        w.lock = None
        w.rebuilt = False
    if "restore gate" in w.guards:
        w.closed.add(name)


def _reconcile(w: World, name: str) -> None:
    """One transaction of what opens the gate: take in what is lacking, forget again, open."""
    site = w.sites[name]
    if name == PRIVACY and not w.rebuilt:
        _rebuild(w)
        w.rebuilt = True
        return
    for position, entry in sorted(w.ledger.items()):
        if position not in site.applied:
            _apply(w, name, position, entry)
            return
    w.closed.discard(name)


def _notice(w: World) -> None:
    """Somebody copied what this database knows nothing of: it went back meanwhile."""
    w.closed.add(PRIVACY)
    w.rebuilt = False


def _rebuild(w: World) -> None:
    """The copy decides; what is reserved here and stands nowhere in it gives way."""
    site = w.sites[PRIVACY]
    for position, entry in sorted(w.ledger.items()):
        here = site.broadcasts.get(position)
        if here is not None and here[0] == entry:
            continue
        if here is not None and here[1]:
            raise Broken(
                f"position {position} was broadcast with another entry than the copy holds"
            )
        site.broadcasts[position] = (entry, False)
        for erasure, place in site.erasures.items():
            if place == position:  # nobody was asked by what was reserved
                for key in [k for k, proof in site.steps.items() if k[0] == erasure and not proof]:
                    del site.steps[key]
            if place == position and erasure not in w.entries[entry][0]:
                site.erasures[erasure] = None
        _adopt(w, position)


_STEPS: dict[str, Any] = {
    "write": _write, "commit": _commit, "ask": _ask, "tell again": _tell_again, "relay": _relay,
    "relay and die": _relay_and_die, "deliver": _deliver, "deliver and die": _deliver_and_die,
    "reserve": _reserve, "take": _take, "copy": _copy, "send": _send, "complete": _complete,
    "chase": _chase, "waive": _waive, "dismiss": _dismiss, "admit": _admit, "lie": _lie,
    "crash": _crash, "back up": _back_up, "restore": _restore, "reconcile": _reconcile, "overdue": _overdue, "notice": _notice,
}  # fmt: skip
