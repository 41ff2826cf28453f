"""Draw the whole demo from a seed: a stream of records, each after what it refers to.

Pure: the same seed, size and instant give the same records, ids included. Only a bounded window of
what went before is kept, so a million companies stream through as well as ten thousand.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Literal

from deploy.demo import people, tenders
from deploy.demo.addresses import Addresses
from deploy.demo.circle import Circle
from deploy.demo.companies import Drawn, company
from deploy.demo.identifiers import uuid7
from deploy.demo.lexicon import Theme, themes
from deploy.demo.records import (
    Attachment,
    Community,
    Company,
    Membership,
    Person,
    Record,
)

COMPANIES = 10_500
CONSULTATIONS = 300  # for COMPANIES; in proportion otherwise
# Companies that ask the first community to be let in: its animator has something to do.
APPLICANTS = 3
# How many people one company brings: most are known through one person.
TEAM, TEAM_WEIGHTS = (1, 2, 3, 4), (0.76, 0.17, 0.05, 0.02)


def generate(*, now: datetime, companies: int = COMPANIES, seed: int = 1) -> Iterator[Record]:
    """Yield people of the chambers and communities, then companies with their people, then the rest.

    `now` is the aware instant that every date is relative to; it is also where history ends.
    """
    rng = Random(seed)  # noqa: S311 - a repeatable demo, not a secret
    addresses = Addresses()
    cast = people.cast(rng, now=now)
    yield from cast.everyone
    yield from people.officers(rng, now=now)
    circles: dict[str, Circle] = {}
    for theme in themes():
        staff = [people.animator(rng, theme=theme, now=now) for _ in range(2)]
        yield from staff
        if not circles:
            staff.append(cast.animator)
        community = _community(rng, theme=theme, staff=staff, now=now)
        yield community
        circles[theme.slug] = Circle(theme=theme, community=community)

    draw = _Draw(rng=rng, addresses=addresses, circles=circles, seed=seed, now=now)
    first, second, third, *_ = circles.values()
    yield from draw.known(cast.member, at=first, index=0, joins=(first, third))
    yield from draw.known(cast.member, at=second, index=1, joins=(second,))
    yield from draw.known(cast.buyer, at=first, index=2, joins=(first, second, third))

    shares = list(accumulate(theme.share for theme in themes()))
    for index in range(3, companies):
        if index < 3 + APPLICANTS:
            yield from draw.household(first, index=index, applies=True)
            continue
        theme = rng.choices(themes(), cum_weights=shares)[0]
        yield from draw.household(circles[theme.slug], index=index)
    for _ in range(companies // 22):
        yield people.newcomer(rng, addresses=addresses, now=now)
    wanted = max(1, CONSULTATIONS * companies // COMPANIES)
    for circle in circles.values():
        part = max(1, round(wanted * circle.theme.share / shares[-1]))
        yield from tenders.consultations(rng, circle=circle, count=part, now=now)


def _community(rng: Random, *, theme: Theme, staff: list[Person], now: datetime) -> Community:
    opened_at = now - people.HISTORY - timedelta(days=5)
    return Community(
        id=uuid7(rng, at=opened_at),
        slug=theme.slug,
        name=theme.name,
        cci=theme.cci,
        description=theme.description,
        sector=theme.sector,
        naf_divisions=theme.naf_divisions,
        departments=() if theme.national else theme.departments,
        opened_at=opened_at,
        animator_ids=tuple(person.id for person in staff),
    )


class _Draw:
    """Companies with their people, attachments and memberships."""

    def __init__(
        self,
        *,
        rng: Random,
        addresses: Addresses,
        circles: dict[str, Circle],
        seed: int,
        now: datetime,
    ) -> None:
        self.rng = rng
        self.addresses = addresses
        self.circles = circles
        self.seed = seed
        self.now = now

    def known(
        self, person: Person, *, at: Circle, index: int, joins: tuple[Circle, ...]
    ) -> Iterator[Record]:
        """A company of a demo account, active in `joins` since the beginning."""
        since = person.created_at + timedelta(days=8)
        drawn = self._company(at, index=index, since=since, sole=False)
        yield drawn.company
        yield self._attachment(person, firm=drawn.company, role="administrator")
        for circle in joins:
            yield self._joined(person, firm=drawn.company, circle=circle, at=since, state="active")
            circle.remember(self.rng, person=person, firm=drawn.company)

    def household(self, circle: Circle, *, index: int, applies: bool = False) -> Iterator[Record]:
        """A company with its people; one that `applies` came lately and waits for an answer."""
        rng = self.rng
        since = people.joined_at(rng, now=self.now)
        if applies:
            since = self.now - timedelta(hours=rng.uniform(3, 90))
        drawn = self._company(circle, index=index, since=since)
        firm = drawn.company
        yield firm
        joins = [circle] if applies else self._communities(circle)
        size = 1 if firm.sole_trader else rng.choices(TEAM, TEAM_WEIGHTS)[0]
        team: set[str] = set()
        for rank in range(size):
            person = self._manager_elsewhere(circle) if rank and rng.random() < 0.12 else None
            if person is None:
                person = people.employee(
                    rng,
                    drawn=drawn,
                    rank=rank,
                    theme=circle.theme,
                    addresses=self.addresses,
                    now=self.now,
                )
                yield person
            if person.email in team:
                continue
            team.add(person.email)
            attachment = self._attachment(
                person, firm=firm, role="member" if rank else "administrator"
            )
            yield attachment
            if person.verified_at and not (rank and rng.random() < 0.2):
                for joined in joins:
                    state = "pending" if applies else self._state(attachment.since)
                    yield self._joined(
                        person, firm=firm, circle=joined, at=attachment.since, state=state
                    )
                    if state == "active":
                        joined.remember(rng, person=person, firm=firm)

    def _company(self, circle: Circle, *, index: int, since: datetime, sole: bool = True) -> Drawn:
        return company(
            self.rng,
            theme=circle.theme,
            community_id=circle.community.id,
            index=index,
            seed=self.seed,
            addresses=self.addresses,
            since=since,
            may_be_sole=sole,
        )

    def _manager_elsewhere(self, circle: Circle) -> Person | None:
        """Somebody who already leads another company of the community; no demo account."""
        if not circle.suppliers:
            return None
        person, _ = self.rng.choice(circle.suppliers)
        return None if person.email.endswith(people.DEMO_DOMAIN) else person

    def _attachment(
        self, person: Person, *, firm: Company, role: Literal["administrator", "member"]
    ) -> Attachment:
        since = max(firm.created_at, person.created_at) + timedelta(
            minutes=self.rng.randrange(3, 40)
        )
        return Attachment(
            id=uuid7(self.rng, at=since),
            person_id=person.id,
            company_id=firm.id,
            role=role,
            since=since,
        )

    def _communities(self, circle: Circle) -> list[Circle]:
        """The company's own, and often enough another of its region or the national one."""
        joined = [] if self.rng.random() < 0.03 else [circle]
        for other in self.circles.values():
            near = other.theme.region is circle.theme.region
            if other is not circle and self.rng.random() < (
                0.12 if near else 0.03 if other.theme.national else 0
            ):
                joined.append(other)
        return joined

    def _state(self, since: datetime) -> Literal["active", "pending", "refused"]:
        """Requests of the last days wait for the animator; an old one waits now and then."""
        dice = self.rng.random()
        if dice < (0.6 if self.now - since < timedelta(days=12) else 0.012):
            return "pending"
        return "refused" if dice > 0.992 else "active"

    def _joined(
        self,
        person: Person,
        *,
        firm: Company,
        circle: Circle,
        at: datetime,
        state: Literal["active", "pending", "refused"],
    ) -> Membership:
        last = self.now - timedelta(minutes=5)
        requested_at = min(at + timedelta(hours=self.rng.expovariate(1 / 30)), last)
        decided_at = min(requested_at + timedelta(hours=self.rng.uniform(0.5, 90)), last)
        decided = state != "pending"
        return Membership(
            id=uuid7(self.rng, at=requested_at),
            person_id=person.id,
            company_id=firm.id,
            community_id=circle.community.id,
            state=state,
            requested_at=requested_at,
            decided_at=decided_at if decided else None,
            decided_by=self.rng.choice(circle.community.animator_ids) if decided else None,
        )
