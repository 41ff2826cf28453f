"""Consultations and replies, and the facts of directory that consultations keeps."""

from collections.abc import Iterable, Iterator

from deploy.demo.identifiers import slug
from deploy.demo.records import (
    Attachment,
    Community,
    Consultation,
    Membership,
    Record,
    Reply,
)
from deploy.demo.writers import ROLES, Row, Writer
from services.consultations.schemas import Kind, ReplyState, State

# The third kind points to a call elsewhere, and nothing of the demo stands elsewhere.
KINDS, KIND_WEIGHTS = (Kind.SOURCING, Kind.PRIVATE_CALL), (3, 2)
PUBLIC = 0.3
REACHABLE = 0.7  # authors who say how to reach them


class Consultations(Writer):
    tables = (
        "data_subject",
        "community",
        "animator",
        "attachment",
        "membership",
        "consultation",
        "consultation_community",
        "reply",
    )

    def rows(self, record: Record) -> Iterable[Row]:
        match record:
            case Community():
                yield "community", {"id": record.id, "slug": record.slug, "cci": slug(record.cci)}
                for person_id in record.animator_ids:
                    yield from self.subject(person_id)
                    yield "animator", {"person_id": person_id, "community_id": record.id}
            case Attachment():
                yield from self.subject(record.person_id)
                yield (
                    "attachment",
                    {
                        "person_id": record.person_id,
                        "company_id": record.company_id,
                        "role": ROLES[record.role],
                    },
                )
            case Membership(state="active"):
                yield from self.subject(record.person_id)
                yield (
                    "membership",
                    {
                        "id": record.id,
                        "person_id": record.person_id,
                        "company_id": record.company_id,
                        "community_id": record.community_id,
                    },
                )
            case Consultation():
                yield from self._consultation(record)
            case Reply():
                yield _reply(record)

    def _consultation(self, record: Consultation) -> Iterator[Row]:
        author = record.author
        told = self.rng.random() < REACHABLE
        yield (
            "consultation",
            {
                "id": record.id,
                "company_id": record.company_id,
                "author_id": record.author_id,
                "title": record.title,
                "description": record.description,
                "kind": self.rng.choices(KINDS, KIND_WEIGHTS)[0],
                "external_url": None,
                "public": self.rng.random() < PUBLIC,
                "state": State(record.state),
                "closes_at": record.closes_at,
                "created_at": record.created_at,
                "published_at": record.published_at,
                # The clock closes a call at the instant that was announced.
                "ended_at": record.closes_at if record.state == "closed" else None,
                "contact_name": f"{author.first_name} {author.last_name}" if told else None,
                "contact_email": author.email if told else None,
                "contact_phone": author.phone if told else None,
            },
        )
        yield (
            "consultation_community",
            {"consultation_id": record.id, "community_id": record.community_id},
        )


def _reply(record: Reply) -> Row:
    return (
        "reply",
        {
            "id": record.id,
            "consultation_id": record.consultation_id,
            "company_id": record.company_id,
            "person_id": record.author_id,
            "message": record.message,
            "state": ReplyState.SUBMITTED,
            "submitted_at": record.submitted_at,
        },
    )
