"""The protocol of forgetting as a small model: plain data, one move at a time, no clock, no network.

A *site* is one participant with its database. Every move is one transaction or one step outside of
any, so a process may die between two moves: what is not in a database, in the ledger copy or on the
bus is lost with it. The bus reorders and delays by itself, since any message on it may be next.
Names are those of the code: `chassis.erasure`, `chassis.inbox`, `chassis.restore`,
`services.privacy.actions.broadcasts`, `.answers`, `.certificates` and `.restores`.

`GUARDS` are what the promise rests on. Each can be switched off, to see that it is needed.
"""

from dataclasses import dataclass, field
from typing import Any

GUARDS = {
    "fence": "an event about somebody erased is recorded and does nothing",
    "foreign key": "a write about somebody waits for their erasure, or it for the write",
    "ledger first": "a position is broadcast only after it stands in the copy",
    "restore gate": "a database that went back serves nobody until it has forgotten again",
    "frozen participants": "who was told of a broadcast must prove it, whoever takes part now",
    "frozen again": "whom the copy names must prove it, also if they were away in the backup",
    "entry hash": "an answer counts for the entry that it names, not for its position",
    "applied": "a command that comes again is answered from what was recorded",
    "inbox": "an event takes effect once",
    "what was copied": "the entry that is sent is the one that was copied, not its position's",
    "copy noticed": "a copy that holds more than privacy has reserved is taken in",
    "one active": "a wish of somebody whose erasure is under way follows that one",
}

Move = tuple[Any, ...]
Message = tuple[Any, ...]
"""("fact", to, person, number) · ("wish", erasure) · ("erase", to, position, entry) ·
("answer", from, position, entry, rows by person)"""

PRIVACY, PARTNER = "privacy", "partner"


class Broken(Exception):
    """A promise does not hold in this state."""


@dataclass(frozen=True)
class Scope:
    """How large the world is, and how often what may happen, happens."""

    services: tuple[str, ...] = ("identity", "directory", "consultations", "notifications", PRIVACY)
    people: int = 2
    writes: int = 3
    doors: tuple[str, ...] = ("account", "rights")
    """Each person may ask once at each."""
    replicas: int = 2
    """Processes of privacy."""
    partner: bool = True
    comings: int = 2
    """How often the partner leaves or comes back."""
    crashes: int = 3
    repeats: int = 3
    """Deliveries whose acknowledgement is lost."""
    restores: int = 2
    lies: int = 1
    """Answers about another entry of a position."""


class Site:
    """What one database holds. Privacy's has the lower half, too."""

    __slots__ = (
        "active", "applied", "broadcasts", "done", "effects", "erasures", "inbox", "outbox", "rows",
        "steps", "tombs", "wishes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rows: set[int] = set()
        """People of whom something is held."""
        self.tombs: set[int] = set()
        self.applied: dict[int, tuple[int, Any]] = {}
        """By position: the entry, and what was counted."""
        self.inbox: set[Message] = set()
        self.effects: dict[Message, int] = {}
        self.outbox: list[Message] = []
        self.wishes: set[tuple[int, str]] = set()
        """Identity's: erasures asked for with an account, told until they arrive."""
        self.active: dict[str, bool] = {}
        """Participants that are registered, and whether they take part."""
        self.erasures: dict[tuple[int, str], int | None] = {}
        """The position of each, once it has one."""
        self.done: set[tuple[int, str]] = set()
        self.broadcasts: dict[int, tuple[int, bool]] = {}
        """By position: the entry, and whether it was sent."""
        self.steps: dict[tuple[tuple[int, str], str], Any] = {}
        """By erasure and participant: what was proven, or None."""

    def copy(self) -> "Site":
        new = Site.__new__(Site)
        for name in Site.__slots__:
            value = getattr(self, name)
            setattr(new, name, value.copy())
        return new

    def key(self) -> tuple[Any, ...]:
        return (
            frozenset(self.rows), frozenset(self.tombs), tuple(sorted(self.applied)),
            frozenset(self.inbox), tuple(self.outbox), frozenset(self.wishes),
            frozenset(self.active.items()), frozenset(self.erasures.items()), frozenset(self.done),
            frozenset(self.broadcasts.items()), frozenset(self.steps.items()),
        )  # fmt: skip


@dataclass
class World:
    """Everything there is. `guards`: the ones that are on."""

    scope: Scope
    guards: frozenset[str] = frozenset(GUARDS)
    sites: dict[str, Site] = field(default_factory=dict)
    bus: dict[Message, None] = field(default_factory=dict)
    """What is under way, in no order that counts; the same message twice is the same message."""
    ledger: dict[int, int] = field(default_factory=dict)
    """The copy outside the databases: the entry at each position."""
    entries: list[tuple[tuple[tuple[int, str], ...], tuple[str, ...]]] = field(default_factory=list)
    """Everything ever reserved: whose erasures, and who takes part."""
    closed: set[str] = field(default_factory=set)
    """Sites whose gate is closed."""
    rebuilt: bool = True
    writing: dict[str, int] = field(default_factory=dict)
    """A row that a transaction has inserted and not committed."""
    hands: dict[int, tuple[int, int, bool]] = field(default_factory=dict)
    """What a replica of privacy is about to copy, or has copied: position and entry."""
    lock: int | None = None
    backups: dict[str, Site] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    facts: int = 0
    # What really happened, which no database decides about.
    forgotten: dict[str, set[int]] = field(default_factory=dict)
    """Whom each site has ever erased."""
    truths: dict[tuple[str, int], set[Any]] = field(default_factory=dict)
    """What each site found when it applied an entry for the first time in its database."""
    waived: set[tuple[tuple[int, str], str]] = field(default_factory=set)

    def site(self, name: str) -> Site:
        return self.sites[name]

    def copy(self) -> "World":
        return World(
            self.scope, self.guards, {n: s.copy() for n, s in self.sites.items()}, self.bus.copy(),
            self.ledger.copy(), self.entries.copy(), self.closed.copy(), self.rebuilt,
            self.writing.copy(), self.hands.copy(), self.lock, self.backups.copy(),
            self.spent.copy(), self.facts, {n: p.copy() for n, p in self.forgotten.items()},
            {k: v.copy() for k, v in self.truths.items()}, self.waived.copy(),
        )  # fmt: skip

    def key(self) -> tuple[Any, ...]:
        """Equal for states from which the same may follow."""
        return (
            tuple(s.key() for s in self.sites.values()), frozenset(self.bus),
            frozenset(self.ledger.items()), tuple(self.entries), frozenset(self.closed),
            self.rebuilt, frozenset(self.writing.items()), frozenset(self.hands.items()),
            self.lock, tuple((n, s.key()) for n, s in sorted(self.backups.items())),
            frozenset(self.spent.items()), self.facts,
            tuple(frozenset(p) for p in self.forgotten.values()), frozenset(self.waived),
        )  # fmt: skip


def begin(scope: Scope, *, off: str | None = None) -> World:
    """Everybody has an account; nothing else has happened."""
    names = (*scope.services, *([PARTNER] if scope.partner else []))
    world = World(scope, frozenset(GUARDS) - {off})
    world.sites = {name: Site() for name in names}
    world.forgotten = {name: set() for name in names}
    world.sites[scope.services[0]].rows = set(range(scope.people))
    if scope.partner:
        world.sites[PARTNER].rows = set(range(scope.people))
    world.sites[PRIVACY].active = dict.fromkeys(names, True)
    return world
