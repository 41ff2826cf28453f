"""Consents, as signing up records them (N2.4)."""

from collections.abc import Iterable

from deploy.demo.identifiers import uuid7
from deploy.demo.records import Person, Record
from deploy.demo.writers import Row, Writer


class Privacy(Writer):
    tables = ("data_subject", "consent")

    def rows(self, record: Record) -> Iterable[Row]:
        if isinstance(record, Person):
            yield from self.subject(record.id)
            yield (
                "consent",
                {
                    "consent_id": uuid7(self.rng, at=record.created_at),
                    "person_id": record.id,
                    "notice_version": self.occasion.notice_version,
                    "given_at": record.created_at,
                },
            )
