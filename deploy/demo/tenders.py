"""Consultations of the demo and the replies they got."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any, Literal

from deploy.demo.circle import Circle, Pair
from deploy.demo.identifiers import uuid7
from deploy.demo.lexicon import load
from deploy.demo.records import Company, Consultation, Person, Record, Reply

State = Literal["published", "closed", "draft"]
STATES: tuple[State, ...] = ("published", "closed", "draft")
STATE_WEIGHTS = (45, 45, 10)
REPLIES = 3.4  # on average, for a consultation that was published
RANGE = re.compile(r"\{n:(\d+)-(\d+)\}")


@cache
def _words() -> dict[str, Any]:
    return load("wording")


def consultations(rng: Random, *, circle: Circle, count: int, now: datetime) -> Iterator[Record]:
    """Consultations of one community, each followed by its replies."""
    authors = [pair for pair in circle.buyers if now - pair[0].created_at > timedelta(days=400)]
    if not authors:
        return
    for number in range(count):
        author, firm = authors[0] if number % 6 == 0 else rng.choice(authors)
        made = _consultation(rng, circle=circle, author=author, firm=firm, number=number, now=now)
        yield made
        if made.published_at:
            regular = number % 4 == 0
            yield from _replies(
                rng,
                circle=circle,
                consultation=made,
                opened=made.published_at,
                regular=regular,
                now=now,
            )


def _consultation(
    rng: Random, *, circle: Circle, author: Person, firm: Company, number: int, now: datetime
) -> Consultation:
    subjects = circle.theme.subjects
    title, need = subjects[number % len(subjects)]
    words = _words()
    context: str = rng.choice(words["consultation_context"])
    expect: str = rng.choice(words["consultation_expect"])
    slots = {"ville": firm.town, "mois": rng.choice((3, 6, 12, 18, 24, 36))}
    # The first is open: there is something to answer in every community.
    state: State = rng.choices(STATES, STATE_WEIGHTS)[0] if number else "published"
    # Authors have been here for more than 400 days: a closed one is at most 300 days old.
    open_days = rng.uniform(15, 50)
    if state == "closed":
        closes_at = now - timedelta(days=min(300.0, 1 + rng.expovariate(1 / 100)))
    else:
        closes_at = now + timedelta(days=2 + rng.random() * (open_days - 4))
    closes_at = closes_at.replace(hour=rng.choice((10, 14, 16)), minute=0, second=0, microsecond=0)
    published_at = closes_at - timedelta(days=open_days)
    created_at = published_at - timedelta(days=rng.uniform(0.2, 6))
    return Consultation(
        id=uuid7(rng, at=created_at),
        company_id=firm.id,
        author=author,
        community_id=circle.community.id,
        title=_quantified(rng, title).format(**slots),
        description=" ".join((_quantified(rng, need), context, expect)).format(**slots),
        state=state,
        created_at=created_at,
        published_at=None if state == "draft" else published_at,
        closes_at=closes_at,
    )


def _quantified(rng: Random, text: str) -> str:
    def draw(match: re.Match[str]) -> str:
        low, high = int(match[1]), int(match[2])
        exact = rng.randint(low, high)
        step = 10 ** max(0, len(str(exact)) - 2)
        rounded = max(low, exact // step * step)
        return f"{rounded:,}".replace(",", "\u202f")  # the narrow space of French thousands

    return RANGE.sub(draw, text)


def _replies(
    rng: Random,
    *,
    circle: Circle,
    consultation: Consultation,
    opened: datetime,
    regular: bool,
    now: datetime,
) -> Iterator[Reply]:
    """Sealed replies of other companies of the community; its `regular` supplier's among them."""
    others: list[Pair] = [
        (person, firm)
        for person, firm in circle.suppliers
        if firm.id != consultation.company_id and firm.created_at < opened
    ]
    count = min(len(others), int(rng.expovariate(1 / REPLIES)))
    drawn = [*others[:regular], *rng.sample(others, count)]
    until = min(consultation.closes_at, now)
    answered = set()
    for person, firm in drawn:
        if firm.id in answered:
            continue
        answered.add(firm.id)
        submitted_at = opened + rng.random() * (until - opened)
        yield Reply(
            id=uuid7(rng, at=submitted_at),
            consultation_id=consultation.id,
            company_id=firm.id,
            author_id=person.id,
            message=_message(rng, firm=firm),
            submitted_at=submitted_at,
        )


def _message(rng: Random, *, firm: Company) -> str:
    words = _words()
    body = " ".join(rng.sample(words["reply_body"], rng.choice((1, 2, 2))))
    body = body.format(n=rng.randrange(2, 9), ville=firm.town)
    return f"{rng.choice(words['reply_open'])}\n\n{body}\n\n{rng.choice(words['reply_close'])}"
