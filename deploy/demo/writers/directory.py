"""Profiles, photos, company sheets, communities and memberships, as their people would have left them."""

import asyncio
from collections.abc import Iterable, Iterator
from functools import cache
from random import Random
from typing import Any

from chassis.storage import Storage
from deploy.demo.identifiers import slug, uuid7
from deploy.demo.lexicon import load
from deploy.demo.people import DEMO_DOMAIN
from deploy.demo.photos import photo
from deploy.demo.records import Attachment, Community, Company, Membership, Person, Record
from deploy.demo.writers import ROLES, Occasion, Row, Writer
from services.directory.actions.images import normalised
from services.directory.models import (
    AttachmentState,
    MembershipState,
    PhotoState,
    classified,
    located,
)

PHOTOS = 48  # the known accounts, then the first who say something about themselves


@cache
def _words() -> dict[str, Any]:
    return load("wording")


class Directory(Writer):
    tables = (
        "data_subject",
        "profile",
        "photo",
        "community",
        "community_animator",
        "cci_agent",
        "company",
        "attachment",
        "membership",
    )

    def __init__(self, occasion: Occasion) -> None:
        super().__init__(occasion)
        self._photos: dict[str, Person] = {}
        self._listed: Company | None = None

    def rows(self, record: Record) -> Iterable[Row]:
        match record:
            case Person(verified_at=None):
                return  # nobody has a profile before their address is confirmed
            case Person():
                yield from self._person(record)
            case Community():
                yield from _community(record)
            case Company():
                self._listed = record  # its owner is the administrator who is attached first
            case Attachment():
                if self._listed:
                    yield _company(self._listed, owner=record)
                    self._listed = None
                yield _attachment(record)
            case Membership():
                yield self._membership(record)

    def _person(self, person: Person) -> Iterator[Row]:
        yield from self.subject(person.id)
        yield (
            "profile",
            {
                "person_id": person.id,
                "last_name": person.last_name,
                "first_name": person.first_name,
                "job_title": person.job_title,
                "phone": person.phone,
                "about": person.about,
                "skills": person.skills,
                "updated_at": person.verified_at,
            },
        )
        if "agent" in person.roles and person.cci:
            yield "cci_agent", {"person_id": person.id, "cci": slug(person.cci)}
        if "directory" in self.occasion.storage and self._is_shown(person):
            # Chance of its own: everything else is the same without photos.
            chance = Random(person.id.int)  # noqa: S311 - a repeatable demo, not a secret
            key = f"photos/{uuid7(chance, at=person.created_at)}.webp"
            self._photos[key] = person
            yield (
                "photo",
                {
                    "storage_key": key,
                    "person_id": person.id,
                    "state": PhotoState.STORED,
                    "asked_at": person.verified_at,
                },
            )

    def _is_shown(self, person: Person) -> bool:
        return len(self._photos) < PHOTOS and (
            person.about is not None or person.email.endswith(DEMO_DOMAIN)
        )

    def _membership(self, record: Membership) -> Row:
        refused = record.state == "refused"
        return (
            "membership",
            {
                "id": record.id,
                "person_id": record.person_id,
                "company_id": record.company_id,
                "community_id": record.community_id,
                "state": MembershipState(record.state),
                "answers": None,
                "reason": self.rng.choice(_words()["refusals"]) if refused else None,
                "requested_at": record.requested_at,
                "decided_at": record.decided_at,
                "decided_by": record.decided_by,
            },
        )

    async def store_files(self) -> None:
        if not self._photos:
            return
        storage = Storage(self.occasion.storage["directory"])

        async def store(key: str, person: Person) -> None:
            drawn = await asyncio.to_thread(photo, person)
            await storage.put(key, await normalised(drawn))

        await asyncio.gather(*(store(key, person) for key, person in self._photos.items()))


def _community(record: Community) -> Iterator[Row]:
    yield (
        "community",
        {
            "id": record.id,
            "slug": record.slug,
            "name": record.name,
            "description": record.description,
            "cci": slug(record.cci),
            "cci_name": record.cci,
            "sector": record.sector,
            "territory": record.departments,
            "open_joining": False,
            "opened_at": record.opened_at,
        },
    )
    for person_id in record.animator_ids:
        yield "community_animator", {"community_id": record.id, "person_id": person_id}


def _company(record: Company, *, owner: Attachment) -> Row:
    return (
        "company",
        {
            "id": record.id,
            "owner_id": owner.person_id,
            "siret": record.siret,
            "name": record.name,
            "sole_trader": record.sole_trader,
            "street": record.street,
            "postcode": record.postcode,
            **located(record.commune_code),
            "phone": record.phone,
            "email": record.email,
            "website": record.website,
            "social": record.social,
            "activity": record.activity,
            **classified(record.naf),
            "generated": record.generated,
            "version": 1,
            "listed_at": record.created_at,
        },
    )


def _attachment(record: Attachment) -> Row:
    return (
        "attachment",
        {
            "company_id": record.company_id,
            "person_id": record.person_id,
            "role": ROLES[record.role],
            "state": AttachmentState.ACTIVE,
            "since": record.since,
        },
    )
