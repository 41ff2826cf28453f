"""One company of the demo: name, numbers, place, and what it does."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from deploy.demo.addresses import Addresses
from deploy.demo.identifiers import phone, siret, slug, uuid7
from deploy.demo.lexicon import (
    Given,
    Stem,
    Theme,
    Trade,
    family_name,
    given,
    load,
    sole_rate,
)
from deploy.demo.naming import trade_name
from deploy.demo.records import Company
from services.directory.reference import Commune

SOCIAL = ("reseau-pro", "vitrine", "ateliers-ouverts")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A company with what its people need to know of it."""

    company: Company
    trade: Trade
    domain: str | None
    family: str | None  # its head bears this name
    owner: Given | None  # the person that a sole trader is


def company(
    rng: Random,
    *,
    theme: Theme,
    community_id: UUID,
    index: int,
    seed: int,
    addresses: Addresses,
    since: datetime,
    may_be_sole: bool = True,
) -> Drawn:
    trade = rng.choices(theme.trades, cum_weights=theme.trade_weights)[0]
    commune = rng.choices(theme.towns, cum_weights=theme.town_weights)[0]
    pick = rng.randrange(len(trade.stems))
    stem = trade.stems[pick]
    does = trade.does[pick] if trade.aligned else rng.choice(trade.does)
    naf = trade.naf[pick] if trade.aligned else rng.choice(trade.naf)
    owner: Given | None = None
    family: str | None = None
    domain: str | None = None
    if may_be_sole and trade.sole and rng.random() < sole_rate():
        owner = given(rng, region=theme.region, women=0.36)
        name, form, family = f"{owner.first} {owner.last}", "EI", owner.last
        if rng.random() < 0.5:
            title = f"{name} {_plain_word(stem)}"
            domain = addresses.domain(name=title, department=commune.department)
    else:
        drawn = trade_name(rng, trade=trade, stem=stem, region=theme.region, commune=commune)
        name, form, family = drawn.name, drawn.form, drawn.family
        domain = addresses.domain(name=drawn.base, department=commune.department)
    made = Company(
        id=uuid7(rng, at=since),
        siret=siret(rng, index=index, seed=seed),
        name=name,
        legal_form=form,
        sole_trader=owner is not None,
        naf=naf,
        street=_street(rng, theme=theme, home=owner is not None),
        postcode=rng.choice(commune.postcodes),
        commune_code=commune.code,
        town=_town(commune),
        phone=phone(rng, area="6" if owner and rng.random() < 0.7 else theme.region.phone_area),
        email=f"contact@{domain}" if domain and rng.random() < 0.8 else None,
        website=f"https://www.{domain}" if domain and rng.random() < 0.72 else None,
        social=(f"https://{rng.choice(SOCIAL)}.example/{slug(name)}",)
        if rng.random() < 0.22
        else (),
        activity=_activity(rng, theme=theme, does=does, commune=commune, sole=owner is not None)
        if rng.random() < 0.88
        else None,
        created_at=since,
        community_id=community_id,
    )
    return Drawn(company=made, trade=trade, domain=domain, family=family, owner=owner)


def _plain_word(stem: Stem) -> str:
    return stem.word.split(" ")[0]


def _town(commune: Commune) -> str:
    return commune.name.split(" ")[0] if commune.part_of else commune.name


@cache
def _streets() -> dict[str, Any]:
    streets: dict[str, Any] = load("places")["street"]
    return streets


def _street(rng: Random, *, theme: Theme, home: bool) -> str:
    words = _streets()
    dice = rng.random()
    number = f"{rng.randrange(1, 120)}{rng.choices((' bis', ' ter', ''), (4, 1, 95))[0]}"
    if home or dice < 0.4:
        if rng.random() < 0.12:
            return f"{number} rue {_person(rng, theme=theme)}"
        kind = rng.choices(words["kinds"], (60, 14, 5, 10, 6, 3, 3, 3, 2))[0]
        return f"{number} {kind} {rng.choice(words['town'])}"
    street = f"{rng.randrange(1, 60)} rue {rng.choice(words['works'])}"
    if dice < 0.62:
        return street
    zone: str = rng.choice(words["zones"])
    return f"{zone}, {street}" if dice < 0.85 else zone


def _person(rng: Random, *, theme: Theme) -> str:
    someone = given(rng, region=theme.region)
    return f"{someone.first} {family_name(rng, region=theme.region)}"


@cache
def _wording() -> dict[str, Any]:
    return load("wording")


def _activity(rng: Random, *, theme: Theme, does: str, commune: Commune, sole: bool) -> str:
    words = _wording()
    more: str = rng.choice(words["activity_more_sole" if sole else "activity_more"])
    if rng.random() < 0.3:
        return f"{does}."
    tail = more.format(
        effectif=rng.choice((3, 5, 6, 8, 12, 15, 18, 22, 27, 35, 48, 60)),
        ville=_town(commune),
        certif=rng.choice(theme.certifications),
        annee=rng.randrange(2009, 2025) if sole else rng.randrange(1948, 2024),
    )
    return f"{does}. {tail}"
