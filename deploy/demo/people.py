"""The people of the demo: heads and staff of companies, chambers, newcomers, and known accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from deploy.demo.addresses import Addresses
from deploy.demo.companies import Drawn
from deploy.demo.identifiers import phone, slug, uuid7
from deploy.demo.lexicon import Given, Region, Theme, given, load, regions, themes
from deploy.demo.records import Person, Role

DEMO_DOMAIN = "@demo.example"
BUYERS = 0.05
# How long the platform has been open in the demo.
HISTORY = timedelta(days=4 * 365)
# An account that joins no community is kept six months (N3.1): newcomers are younger than that.
NEWCOMERS = timedelta(days=181)


@dataclass(frozen=True, slots=True)
class Cast:
    """The accounts that the demo's first screen names."""

    member: Person
    buyer: Person
    animator: Person
    staff: tuple[Person, ...]  # agent, DPO, operator

    @property
    def everyone(self) -> tuple[Person, ...]:
        return (self.member, self.buyer, self.animator, *self.staff)


@cache
def _words() -> dict[str, Any]:
    return load("wording")


def joined_at(rng: Random, *, now: datetime) -> datetime:
    """More people came lately than in the first year, and in the daytime."""
    day = now - HISTORY * rng.random() ** 1.25
    hour: datetime = day.replace(hour=rng.randrange(7, 19), minute=rng.randrange(60))
    return min(hour, now - timedelta(hours=2))


def _seen_at(rng: Random, *, since: datetime, now: datetime) -> datetime:
    """Last time they came: for most a matter of weeks."""
    return max(since, now - timedelta(days=rng.expovariate(1 / 45), minutes=rng.randrange(600)))


def employee(
    rng: Random, *, drawn: Drawn, rank: int, theme: Theme, addresses: Addresses, now: datetime
) -> Person:
    """The rank-th person of a company; the first founded or runs it."""
    head = rank == 0
    if drawn.owner:
        who = drawn.owner
    else:
        named = drawn.family if head and rng.random() < 0.65 else None
        who = given(rng, region=theme.region, family=named, women=0.34 if head else 0.48)
    buyer = drawn.owner is None and rng.random() < BUYERS * 1.1
    since = drawn.company.created_at
    if not head:
        since = min(since + timedelta(days=rng.expovariate(1 / 90)), now - timedelta(hours=1))
    if drawn.domain:
        email = addresses.at_work(first=who.first, last=who.last, domain=drawn.domain, rank=rank)
    else:
        email = addresses.at_home(rng, first=who.first, last=who.last)
    return _person(
        rng,
        who=who,
        email=email,
        job=_job(rng, who=who, head=head, buyer=buyer) if rng.random() < 0.82 else None,
        roles=frozenset({"buyer"}) if buyer else frozenset(),
        since=since,
        now=now,
    )


def newcomer(rng: Random, *, addresses: Addresses, now: datetime) -> Person:
    """Somebody who signed up and joined no community yet; one in six has not confirmed."""
    region = rng.choice(list(regions().values()))
    who = given(rng, region=region)
    since = now - NEWCOMERS * rng.random() - timedelta(minutes=5)
    recent = now - since < timedelta(days=3)
    return _person(
        rng,
        who=who,
        email=addresses.at_home(rng, first=who.first, last=who.last),
        job=None,
        roles=frozenset(),
        since=since,
        now=now,
        confirmed=not recent or rng.random() < 0.6,
        full=rng.random() < 0.6,
    )


def animator(rng: Random, *, theme: Theme, now: datetime) -> Person:
    who = given(rng, region=theme.region, women=0.6)
    job = ("Animatrice" if who.woman else "Animateur") + " de communauté"
    return _officer(rng, who=who, cci=theme.cci, job=job, role="animator", now=now)


def officers(rng: Random, *, now: datetime) -> Sequence[Person]:
    """Two advisers per chamber."""
    chambers = {theme.cci: theme.region for theme in themes()}
    return [
        _adviser(rng, cci=cci, region=region, now=now)
        for cci, region in chambers.items()
        for _ in range(2)
    ]


def _adviser(rng: Random, *, cci: str, region: Region, now: datetime) -> Person:
    who = given(rng, region=region, women=0.55)
    job = ("Conseillère" if who.woman else "Conseiller") + " entreprises"
    return _officer(rng, who=who, cci=cci, job=job, role="agent", now=now)


def _officer(rng: Random, *, who: Given, cci: str, job: str, role: Role, now: datetime) -> Person:
    since = now - HISTORY - timedelta(days=rng.randrange(20, 60))
    host = slug(cci).removeprefix("cci-")
    return _person(
        rng,
        who=who,
        email=f"{slug(who.first)}.{slug(who.last)}{rng.randrange(100)}@{role}s.{host}.cci.example",
        job=job,
        roles=frozenset({role}),
        since=since,
        now=now,
        cci=cci,
    )


def cast(rng: Random, *, now: datetime) -> Cast:
    """The accounts whose addresses are fixed, one for each kind of person."""
    chamber = themes()[0].cci

    def known(local: str, first: str, last: str, job: str, role: Role | None = None) -> Person:
        return _person(
            rng,
            who=Given(first=first, last=last, woman=first in ("Claire", "Nadia", "Solène")),
            email=f"{local}{DEMO_DOMAIN}",
            job=job,
            roles=frozenset({role}) if role else frozenset(),
            since=now - HISTORY - timedelta(days=10),
            now=now,
            cci=chamber if role in ("animator", "agent") else None,
            seen_at=now - timedelta(hours=3),
        )

    return Cast(
        member=known("membre", "Claire", "Lemonnier", "Dirigeante"),
        buyer=known("acheteur", "Karim", "Haddad", "Responsable achats", "buyer"),
        animator=known("animateur", "Nadia", "Auvray", "Animatrice de communauté", "animator"),
        staff=(
            known("conseiller", "Julien", "Delamare", "Conseiller entreprises", "agent"),
            known("dpo", "Solène", "Traoré", "Déléguée à la protection des données", "dpo"),
            known("exploitant", "Paulo", "Ferreira", "Exploitant", "operator"),
        ),
    )


def _job(rng: Random, *, who: Given, head: bool, buyer: bool) -> str:
    kind = "jobs_buyer" if buyer else "jobs_lead" if head else "jobs_staff"
    job: str = rng.choice(_words()[f"{kind}_f" if who.woman else kind])
    return job


def _person(
    rng: Random,
    *,
    who: Given,
    email: str,
    job: str | None,
    roles: frozenset[Role],
    since: datetime,
    now: datetime,
    cci: str | None = None,
    confirmed: bool = True,
    full: bool = True,
    seen_at: datetime | None = None,
) -> Person:
    about = None
    if full and rng.random() < 0.24:
        sentence: str = rng.choice(_words()["about_f" if who.woman else "about"])
        about = sentence.format(n=rng.randrange(4, 26), annee=rng.randrange(2006, 2025))
    skills = rng.sample(_words()["skills"], rng.randrange(1, 5)) if rng.random() < 0.3 else ()
    return Person(
        id=uuid7(rng, at=since),
        email=email,
        first_name=who.first,
        last_name=who.last,
        job_title=job,
        phone=phone(rng, area="6") if full and rng.random() < 0.36 else None,
        about=about,
        skills=tuple(skills),
        roles=roles,
        cci=cci,
        created_at=since,
        verified_at=since + timedelta(minutes=rng.uniform(1, 30)) if confirmed else None,
        last_seen_at=(seen_at or _seen_at(rng, since=since, now=now)) if confirmed else None,
    )
