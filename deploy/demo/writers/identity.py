"""Accounts with their roles, as sign-up, confirmation and the operator would have left them."""

from collections.abc import Iterable

from chassis.auth import Role
from deploy.demo.records import Person, Record
from deploy.demo.writers import Row, Writer
from services.identity.models import AccountState

# Animators are appointed in directory: identity knows the platform's roles only.
PLATFORM_ROLES = {role.value for role in Role}


class Identity(Writer):
    tables = ("data_subject", "account", "role_grant")

    def rows(self, record: Record) -> Iterable[Row]:
        if not isinstance(record, Person):
            return
        confirmed = record.verified_at is not None
        yield "data_subject", {"id": record.id}
        yield (
            "account",
            {
                "id": record.id,
                "email": record.email,
                "password_hash": self.occasion.password_hash if confirmed else None,
                "state": AccountState.ACTIVE if confirmed else AccountState.UNVERIFIED,
                "notice_version": self.occasion.notice_version,
                "opened_at": record.created_at,
                "verified_at": record.verified_at,
            },
        )
        for role in sorted(record.roles & PLATFORM_ROLES):
            yield "role_grant", {"account_id": record.id, "role": role}
