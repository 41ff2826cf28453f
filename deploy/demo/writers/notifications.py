"""Who belongs where and wants which newsletter. Nothing is left to be mailed.

Of the site's own notices there are only those that still wait for an answer: what was told about
things past, to every member, would be most of the demo and nobody's reading.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from deploy.demo.identifiers import slug, uuid7
from deploy.demo.records import Community, Consultation, Membership, Record
from deploy.demo.writers import Occasion, Row, Writer
from services.notifications.models import NOTICES_KEPT, Choice, Kind

LEFT = 0.06  # members who ended the newsletter that came with their membership (N7.1)


class Notifications(Writer):
    tables = (
        "data_subject",
        "community",
        "consultation",
        "animator",
        "membership",
        "subscription",
        "notice",
    )

    # A member already, for another company: the first subscription stays.
    repeated = Writer.repeated | {"subscription"}

    def __init__(self, occasion: Occasion) -> None:
        super().__init__(occasion)
        self._animators: dict[UUID, tuple[UUID, ...]] = {}

    def rows(self, record: Record) -> Iterable[Row]:
        match record:
            case Community():
                self._animators[record.id] = record.animator_ids
                yield "community", {"id": record.id, "slug": record.slug, "cci": slug(record.cci)}
                for person_id in record.animator_ids:
                    yield from self.subject(person_id)
                    yield "animator", {"person_id": person_id, "community_id": record.id}
            case Membership():
                yield from self.subject(record.person_id)
                if record.state == "active" and record.decided_at:
                    yield from self._member(record, since=record.decided_at)
                elif record.state == "pending":
                    yield from self._request(record)
            case Consultation() if record.published_at:
                yield "consultation", {"id": record.id, "closes_at": record.closes_at}

    def _member(self, record: Membership, *, since: datetime) -> Iterator[Row]:
        yield (
            "membership",
            {
                "id": record.id,
                "person_id": record.person_id,
                "community_id": record.community_id,
            },
        )
        left = self.rng.random() < LEFT
        yield (
            "subscription",
            {
                "id": uuid7(self.rng, at=since),
                "person_id": record.person_id,
                "community_id": record.community_id,
                "state": Choice.UNSUBSCRIBED if left else Choice.SUBSCRIBED,
                "changed_at": since + (self.occasion.now - since) * self.rng.random()
                if left
                else since,
            },
        )

    def _request(self, record: Membership) -> Iterator[Row]:
        if self.occasion.now - record.requested_at >= NOTICES_KEPT:
            return
        for animator_id in self._animators[record.community_id]:
            yield (
                "notice",
                {
                    "id": uuid7(self.rng, at=record.requested_at),
                    "person_id": animator_id,
                    "about_id": record.person_id,
                    "kind": Kind.MEMBERSHIP_REQUESTED,
                    "target_id": record.id,
                    "community_id": record.community_id,
                    "created_at": record.requested_at,
                },
            )
