"""The tables that the chassis brings into every service's database.

They are Core tables: the hot paths write them set by set, never row by row. `install` copies them
into a service's metadata; the chassis' own statements use the originals, whose names are the same.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, subject
from chassis.rights import REFUSED

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Instant = DateTime(timezone=True)
"""The column type of every instant."""

_metadata = MetaData(naming_convention=NAMING)
_OPAQUE = "opaque id, kept so that nothing brings the person back"
_MESSAGE = "message with opaque ids only"
_PLUMBING = "plumbing"
# Rows come and go whatever the table's size: vacuum by count, not by share.
_BUSY = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 5000,
    "autovacuum_vacuum_insert_scale_factor": 0,
    "autovacuum_vacuum_insert_threshold": 20000,
}

data_subject = Table(
    "data_subject",
    _metadata,
    Column("id", Uuid, primary_key=True, **not_personal(_OPAQUE)),
    Column("erased_at", Instant, nullable=True, **not_personal("instant of the erasure")),
    Column(
        "live_id",
        Uuid,
        Computed("CASE WHEN erased_at IS NULL THEN id END", persisted=True),
        unique=True,
        **not_personal("the id while the person is not erased; target of personal rows"),
    ),
)

applied = Table(
    "applied",
    _metadata,
    Column(
        "position",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        **not_personal("place in the ledger"),
    ),
    Column("entry_hash", Text, nullable=False, **not_personal("hash of the ledger entry")),
    Column("broadcast_id", Uuid, nullable=False, **not_personal("id of the broadcast")),
    Column("applied_at", Instant, nullable=False, **not_personal(_PLUMBING)),
    Column(
        "evidence", JSONB, nullable=False, **not_personal("counts by erasure id, to answer again")
    ),
    info={REFUSED: ("UPDATE", "DELETE")},  # what was applied stays applied
)

outbox = Table(
    "outbox",
    _metadata,
    Column(
        "id", BigInteger, Identity(always=True, cache=1), primary_key=True, **not_personal("order")
    ),
    Column("event_id", Uuid, nullable=False, **not_personal(_PLUMBING)),
    Column("aggregate", Text, nullable=False, **not_personal("opaque id, the key of ordering")),
    Column("slot", SmallInteger, nullable=False, **not_personal("hash of the aggregate")),
    Column("exchange", Text, nullable=False, **not_personal(_PLUMBING)),
    Column("routing_key", Text, nullable=False, **not_personal(_PLUMBING)),
    Column("body", LargeBinary, nullable=False, **not_personal(_MESSAGE)),
    Column("created_at", Instant, nullable=False, **not_personal(_PLUMBING)),
    Column(
        "blocked_until",
        Instant,
        nullable=True,
        **not_personal("null: ready; infinity: parked; else backing off"),
    ),
    Column("attempts", Integer, nullable=False, server_default="0", **not_personal(_PLUMBING)),
    Column("last_error", Text, nullable=True, **not_personal("slug of the broker's refusal")),
    Index(
        "ix_outbox_blocked", "aggregate", "id", postgresql_where=text("blocked_until IS NOT NULL")
    ),
    postgresql_with=_BUSY,
)

aggregate_sequence = Table(
    "aggregate_sequence",
    _metadata,
    Column("aggregate", Text, primary_key=True, **not_personal("opaque id")),
    Column("last", BigInteger, nullable=False, **not_personal("last sequence given")),
)

inbox = Table(
    "inbox",
    _metadata,
    Column("event_id", Uuid, primary_key=True, **not_personal(_PLUMBING)),
    Column("aggregate", Text, nullable=False, **not_personal("opaque id, the key of ordering")),
    Column("received_at", Instant, nullable=False, **not_personal(_PLUMBING)),
    Column(
        "state",
        Text,
        nullable=False,
        **not_personal("done, fenced, waiting, dead or parked"),
    ),
    Column("attempts", Integer, nullable=False, server_default="0", **not_personal(_PLUMBING)),
    Column("retry_at", Instant, nullable=True, **not_personal(_PLUMBING)),
    Column("type", Text, nullable=True, **not_personal("event type, until it is done")),
    Column("body", LargeBinary, nullable=True, **not_personal(_MESSAGE)),
    Column(
        "sender", Text, nullable=True, **not_personal("broker user that the broker vouched for")
    ),
    Column("order", BigInteger, Identity(always=True, cache=1), **not_personal("order of arrival")),
    Column("reason", Text, nullable=True, **not_personal("error class and static message")),
    Index("ix_inbox_waiting", "aggregate", "order", postgresql_where=text("state = 'waiting'")),
    Index("ix_inbox_stuck", "type", postgresql_where=text("state IN ('dead', 'parked')")),
    Index("ix_inbox_received_at", "received_at"),
    postgresql_with=_BUSY,
)

idempotency_key = Table(
    "idempotency_key",
    _metadata,
    Column(
        "person_id",
        Uuid,
        ForeignKey("data_subject.live_id"),
        primary_key=True,
        **subject(Fate.DELETE, "Éviter qu'un envoi répété crée deux fois", retention="24h"),
    ),
    Column("key", Text, primary_key=True, **personal(Category.TECHNICAL, "Clé d'envoi")),
    Column("request_hash", Text, nullable=False, **not_personal("hash of route and body")),
    Column("resource_id", Uuid, nullable=False, **not_personal("opaque id of what was created")),
    Column("created_at", Instant, nullable=False, **not_personal(_PLUMBING)),
    Index("ix_idempotency_key_created_at", "created_at"),
)

operator_action = Table(
    "operator_action",
    _metadata,
    Column("id", Uuid, primary_key=True, **not_personal("opaque id, in the order of time")),
    Column(
        "person_id",
        Uuid,
        ForeignKey("data_subject.live_id"),
        nullable=True,
        **subject(
            Fate.DETACH,
            "Savoir qui a agi sur l'exploitation de la plateforme",
            basis=Basis.LEGITIMATE_INTEREST,
            retention="1 an",
        ),
    ),
    Column("action", Text, nullable=False, **not_personal("slug, from a closed list")),
    Column(
        "about", JSONB, nullable=False, **not_personal("opaque ids, counts and names of systems")
    ),
    Column("done_at", Instant, nullable=False, **not_personal("when it was done")),
    Index("ix_operator_action_person_id", "person_id"),
    Index("ix_operator_action_done_at", "done_at"),
)

alembic_version = Table(
    "alembic_version",
    _metadata,
    Column("version_num", String(32), primary_key=True, **not_personal("schema version")),
)


def install(metadata: MetaData) -> MetaData:
    """Copy the chassis' tables into a service's metadata, so that its migrations create them."""
    for table in _metadata.sorted_tables:
        table.to_metadata(metadata)
    return metadata


def service_metadata() -> MetaData:
    """A fresh metadata with the naming convention and the chassis' tables."""
    return install(MetaData(naming_convention=NAMING))
