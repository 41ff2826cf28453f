"""first tables

Revision: 0001, after None
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# French stems without accents, and a fold that generated columns and indexes may use: `unaccent`
# itself is only STABLE, since its dictionary could be changed. Every name is qualified, because a
# restore runs with an empty search_path.
_SEARCH = (
    "CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public",
    "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public",
    "CREATE TEXT SEARCH CONFIGURATION public.ccib_french (COPY = pg_catalog.french)",
    (
        "ALTER TEXT SEARCH CONFIGURATION public.ccib_french ALTER MAPPING FOR"
        " hword, hword_part, word WITH public.unaccent, pg_catalog.french_stem"
    ),
    (
        "CREATE FUNCTION public.ccib_fold(value text) RETURNS text"
        " LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE"
        " AS $$ SELECT lower(public.unaccent('public.unaccent'::regdictionary, value)) $$"
    ),
)


def upgrade() -> None:
    for statement in _SEARCH:
        op.execute(statement)
    op.create_table(
        "aggregate_sequence",
        sa.Column("aggregate", sa.Text(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "last", sa.BigInteger(), nullable=False, comment="not personal: last sequence given"
        ),
        sa.PrimaryKeyConstraint("aggregate", name=op.f("pk_aggregate_sequence")),
    )
    op.create_table(
        "applied",
        sa.Column(
            "position",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="not personal: place in the ledger",
        ),
        sa.Column(
            "entry_hash",
            sa.Text(),
            nullable=False,
            comment="not personal: hash of the ledger entry",
        ),
        sa.Column(
            "broadcast_id", sa.Uuid(), nullable=False, comment="not personal: id of the broadcast"
        ),
        sa.Column(
            "applied_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: plumbing",
        ),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="not personal: counts by erasure id, to answer again",
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_applied")),
    )
    op.create_table(
        "community",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "slug", sa.String(length=80), nullable=False, comment="not personal: place in addresses"
        ),
        sa.Column(
            "name",
            sa.String(length=150),
            nullable=False,
            comment="not personal: name of a community",
        ),
        sa.Column(
            "description",
            sa.Text(),
            nullable=False,
            comment="not personal: what the community is for",
        ),
        sa.Column(
            "cci", sa.String(length=80), nullable=False, comment="not personal: slug of the chamber"
        ),
        sa.Column(
            "cci_name",
            sa.String(length=150),
            nullable=False,
            comment="not personal: name of the chamber",
        ),
        sa.Column(
            "sector",
            sa.String(length=150),
            nullable=True,
            comment="not personal: sector of the companies",
        ),
        sa.Column(
            "territory",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="not personal: codes of departments; empty: everywhere",
        ),
        sa.Column(
            "open_joining",
            sa.Boolean(),
            nullable=False,
            comment="not personal: whether joining needs no approval",
        ),
        sa.Column(
            "opened_at", sa.DateTime(timezone=True), nullable=False, comment="not personal: opening"
        ),
        sa.CheckConstraint("cci ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_community_cci")),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_community_slug")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_community")),
        sa.UniqueConstraint("slug", name=op.f("uq_community_slug")),
    )
    op.create_index(op.f("ix_community_cci"), "community", ["cci"], unique=False)
    op.create_index("ix_community_order", "community", ["name", "id"], unique=False)
    op.create_table(
        "data_subject",
        sa.Column(
            "id",
            sa.Uuid(),
            nullable=False,
            comment="not personal: opaque id, kept so that nothing brings the person back",
        ),
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: instant of the erasure",
        ),
        sa.Column(
            "live_id",
            sa.Uuid(),
            sa.Computed("CASE WHEN erased_at IS NULL THEN id END", persisted=True),
            nullable=True,
            comment="not personal: the id while the person is not erased; target of personal rows",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_subject")),
        sa.UniqueConstraint("live_id", name=op.f("uq_data_subject_live_id")),
    )
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False, comment="not personal: plumbing"),
        sa.Column(
            "aggregate",
            sa.Text(),
            nullable=False,
            comment="not personal: opaque id, the key of ordering",
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: plumbing",
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="not personal: done, fenced, waiting, dead or parked",
        ),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="not personal: plumbing",
        ),
        sa.Column(
            "retry_at", sa.DateTime(timezone=True), nullable=True, comment="not personal: plumbing"
        ),
        sa.Column(
            "type", sa.Text(), nullable=True, comment="not personal: event type, until it is done"
        ),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=True,
            comment="not personal: message with opaque ids only",
        ),
        sa.Column(
            "sender",
            sa.Text(),
            nullable=True,
            comment="not personal: broker user that the broker vouched for",
        ),
        sa.Column(
            "order",
            sa.BigInteger(),
            sa.Identity(always=True, cache=1),
            nullable=False,
            comment="not personal: order of arrival",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="not personal: error class and static message",
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
        postgresql_with={
            "autovacuum_vacuum_scale_factor": 0,
            "autovacuum_vacuum_threshold": 5000,
            "autovacuum_vacuum_insert_scale_factor": 0,
            "autovacuum_vacuum_insert_threshold": 20000,
        },
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], unique=False)
    op.create_index(
        "ix_inbox_stuck",
        "inbox",
        ["type"],
        unique=False,
        postgresql_where=sa.text("state IN ('dead', 'parked')"),
    )
    op.create_index(
        "ix_inbox_waiting",
        "inbox",
        ["aggregate", "order"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True, cache=1),
            nullable=False,
            comment="not personal: order",
        ),
        sa.Column("event_id", sa.Uuid(), nullable=False, comment="not personal: plumbing"),
        sa.Column(
            "aggregate",
            sa.Text(),
            nullable=False,
            comment="not personal: opaque id, the key of ordering",
        ),
        sa.Column(
            "slot", sa.SmallInteger(), nullable=False, comment="not personal: hash of the aggregate"
        ),
        sa.Column("exchange", sa.Text(), nullable=False, comment="not personal: plumbing"),
        sa.Column("routing_key", sa.Text(), nullable=False, comment="not personal: plumbing"),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=False,
            comment="not personal: message with opaque ids only",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: plumbing",
        ),
        sa.Column(
            "blocked_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: null: ready; infinity: parked; else backing off",
        ),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="not personal: plumbing",
        ),
        sa.Column(
            "last_error",
            sa.Text(),
            nullable=True,
            comment="not personal: slug of the broker's refusal",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        postgresql_with={
            "autovacuum_vacuum_scale_factor": 0,
            "autovacuum_vacuum_threshold": 5000,
            "autovacuum_vacuum_insert_scale_factor": 0,
            "autovacuum_vacuum_insert_threshold": 20000,
        },
    )
    op.create_index(
        "ix_outbox_blocked",
        "outbox",
        ["aggregate", "id"],
        unique=False,
        postgresql_where=sa.text("blocked_until IS NOT NULL"),
    )
    op.create_table(
        "cci_agent",
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("cci", sa.String(length=80), nullable=False, comment="personal: professional"),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_cci_agent_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("person_id", "cci", name=op.f("pk_cci_agent")),
    )
    op.create_index(op.f("ix_cci_agent_cci"), "cci_agent", ["cci"], unique=False)
    op.create_table(
        "community_animator",
        sa.Column("community_id", sa.Uuid(), nullable=False, comment="personal: professional"),
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.ForeignKeyConstraint(
            ["community_id"],
            ["community.id"],
            name=op.f("fk_community_animator_community_id_community"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_community_animator_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("community_id", "person_id", name=op.f("pk_community_animator")),
    )
    op.create_index(
        op.f("ix_community_animator_person_id"), "community_animator", ["person_id"], unique=False
    )
    op.create_table(
        "company",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "owner_id",
            sa.Uuid(),
            nullable=True,
            comment="data subject: fate=shared rule=last_owner",
        ),
        sa.Column(
            "siret",
            sa.String(length=14),
            nullable=False,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "siren",
            sa.String(length=9),
            sa.Computed("left(siret, 9)", persisted=True),
            nullable=True,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "name",
            sa.String(length=200),
            nullable=False,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "sole_trader",
            sa.Boolean(),
            nullable=False,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "street", sa.String(length=200), nullable=False, comment="personal: contact of=owner_id"
        ),
        sa.Column(
            "postcode", sa.String(length=5), nullable=False, comment="personal: contact of=owner_id"
        ),
        sa.Column(
            "commune_code",
            sa.String(length=5),
            nullable=False,
            comment="personal: contact of=owner_id",
        ),
        sa.Column(
            "commune_vintage",
            sa.Integer(),
            nullable=False,
            comment="not personal: year of the official code in commune_code",
        ),
        sa.Column(
            "town", sa.String(length=100), nullable=False, comment="personal: contact of=owner_id"
        ),
        sa.Column(
            "department",
            sa.String(length=3),
            nullable=False,
            comment="personal: contact of=owner_id",
        ),
        sa.Column("latitude", sa.Float(), nullable=True, comment="personal: contact of=owner_id"),
        sa.Column("longitude", sa.Float(), nullable=True, comment="personal: contact of=owner_id"),
        sa.Column(
            "phone", sa.String(length=20), nullable=True, comment="personal: contact of=owner_id"
        ),
        sa.Column(
            "email", sa.String(length=254), nullable=True, comment="personal: contact of=owner_id"
        ),
        sa.Column(
            "website", sa.String(length=300), nullable=True, comment="personal: contact of=owner_id"
        ),
        sa.Column(
            "social",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="personal: contact of=owner_id",
        ),
        sa.Column(
            "activity", sa.Text(), nullable=True, comment="personal: professional of=owner_id"
        ),
        sa.Column(
            "naf", sa.String(length=6), nullable=True, comment="personal: professional of=owner_id"
        ),
        sa.Column(
            "naf_version",
            sa.String(length=20),
            nullable=True,
            comment="not personal: nomenclature of the code in naf",
        ),
        sa.Column(
            "trade",
            sa.String(length=300),
            nullable=True,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "generated",
            sa.Boolean(),
            nullable=False,
            comment="not personal: a demo company, which does not exist",
        ),
        sa.Column(
            "version",
            sa.Integer(),
            nullable=False,
            comment="not personal: counts the edits, for ETag",
        ),
        sa.Column(
            "listed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="personal: technical of=owner_id",
        ),
        sa.Column(
            "folded_name",
            sa.Text(collation="C"),
            sa.Computed("ccib_fold(name)", persisted=True),
            nullable=True,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "folded",
            sa.Text(),
            sa.Computed(
                "ccib_fold(name || ' ' || coalesce(trade, '') || ' ' || coalesce(activity, '') || ' ' || town)",
                persisted=True,
            ),
            nullable=True,
            comment="personal: professional of=owner_id",
        ),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "setweight(to_tsvector('ccib_french'::regconfig, name), 'A') || setweight(to_tsvector('ccib_french'::regconfig, coalesce(activity, '')), 'B') || setweight(to_tsvector('ccib_french'::regconfig, coalesce(trade, '') || ' ' || town), 'C')",
                persisted=True,
            ),
            nullable=True,
            comment="personal: professional of=owner_id",
        ),
        sa.CheckConstraint("siret ~ '^[0-9]{14}$'", name=op.f("ck_company_siret")),
        sa.CheckConstraint(
            "(latitude IS NULL) = (longitude IS NULL)", name=op.f("ck_company_position")
        ),
        sa.CheckConstraint(
            "(naf IS NULL) = (naf_version IS NULL)", name=op.f("ck_company_naf_has_a_version")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["data_subject.live_id"], name=op.f("fk_company_owner_id_data_subject")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
        sa.UniqueConstraint("siret", name=op.f("uq_company_siret")),
    )
    op.create_index(op.f("ix_company_commune_code"), "company", ["commune_code"], unique=False)
    op.create_index(op.f("ix_company_department"), "company", ["department"], unique=False)
    op.create_index(
        "ix_company_folded",
        "company",
        ["folded"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"folded": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_company_folded_name",
        "company",
        ["folded_name"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"folded_name": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_company_naf",
        "company",
        ["naf"],
        unique=False,
        postgresql_ops={"naf": "varchar_pattern_ops"},
    )
    op.create_index("ix_company_order", "company", ["folded_name", "id"], unique=False)
    op.create_index(op.f("ix_company_owner_id"), "company", ["owner_id"], unique=False)
    op.create_index("ix_company_position", "company", ["latitude", "longitude"], unique=False)
    op.create_index(
        "ix_company_search", "company", ["search"], unique=False, postgresql_using="gin"
    )
    op.create_index(op.f("ix_company_siren"), "company", ["siren"], unique=False)
    op.create_table(
        "idempotency_key",
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("key", sa.Text(), nullable=False, comment="personal: technical"),
        sa.Column(
            "request_hash",
            sa.Text(),
            nullable=False,
            comment="not personal: hash of route and body",
        ),
        sa.Column(
            "resource_id",
            sa.Uuid(),
            nullable=False,
            comment="not personal: opaque id of what was created",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: plumbing",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_idempotency_key_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("person_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index(
        "ix_idempotency_key_created_at", "idempotency_key", ["created_at"], unique=False
    )
    op.create_table(
        "photo",
        sa.Column(
            "storage_key", sa.String(length=80), nullable=False, comment="personal: identity file"
        ),
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column(
            "state", sa.String(), nullable=False, comment="not personal: where the file stands"
        ),
        sa.Column(
            "asked_at", sa.DateTime(timezone=True), nullable=False, comment="personal: technical"
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'stored', 'discarded')", name=op.f("ck_photo_state")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["data_subject.live_id"], name=op.f("fk_photo_person_id_data_subject")
        ),
        sa.PrimaryKeyConstraint("storage_key", name=op.f("pk_photo")),
    )
    op.create_index(
        "ix_photo_leaving",
        "photo",
        ["asked_at"],
        unique=False,
        postgresql_where=sa.text("state <> 'stored'"),
    )
    op.create_index(op.f("ix_photo_person_id"), "photo", ["person_id"], unique=False)
    op.create_index(
        "uq_photo_stored",
        "photo",
        ["person_id"],
        unique=True,
        postgresql_where=sa.text("state = 'stored'"),
    )
    op.create_table(
        "profile",
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("last_name", sa.String(length=100), nullable=False, comment="personal: identity"),
        sa.Column(
            "first_name", sa.String(length=100), nullable=False, comment="personal: identity"
        ),
        sa.Column(
            "job_title", sa.String(length=150), nullable=True, comment="personal: professional"
        ),
        sa.Column("phone", sa.String(length=20), nullable=True, comment="personal: contact"),
        sa.Column("about", sa.Text(), nullable=True, comment="personal: content"),
        sa.Column(
            "skills", postgresql.ARRAY(sa.Text()), nullable=False, comment="personal: professional"
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), nullable=False, comment="personal: technical"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["data_subject.live_id"], name=op.f("fk_profile_person_id_data_subject")
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_profile")),
    )
    op.create_table(
        "attachment",
        sa.Column("company_id", sa.Uuid(), nullable=False, comment="personal: professional"),
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("role", sa.String(), nullable=False, comment="personal: professional"),
        sa.Column("state", sa.String(), nullable=False, comment="personal: technical"),
        sa.Column(
            "since", sa.DateTime(timezone=True), nullable=False, comment="personal: technical"
        ),
        sa.CheckConstraint(
            "role IN ('administrator', 'colleague')", name=op.f("ck_attachment_role")
        ),
        sa.CheckConstraint("state IN ('active', 'pending')", name=op.f("ck_attachment_state")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_attachment_company_id_company")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_attachment_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("company_id", "person_id", name=op.f("pk_attachment")),
    )
    op.create_index(op.f("ix_attachment_person_id"), "attachment", ["person_id"], unique=False)
    op.create_table(
        "membership",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column(
            "company_id", sa.Uuid(), nullable=False, comment="personal: professional of=person_id"
        ),
        sa.Column(
            "community_id", sa.Uuid(), nullable=False, comment="personal: professional of=person_id"
        ),
        sa.Column("state", sa.String(), nullable=False, comment="personal: technical of=person_id"),
        sa.Column(
            "answers",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="personal: content of=person_id",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="personal: content of=person_id"),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="personal: technical of=person_id",
        ),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="personal: technical of=person_id",
        ),
        sa.Column("decided_by", sa.Uuid(), nullable=True, comment="data subject: fate=detach"),
        sa.CheckConstraint(
            "state <> 'refused' OR reason IS NOT NULL",
            name=op.f("ck_membership_refusal_has_a_reason"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'active', 'refused', 'ended')", name=op.f("ck_membership_state")
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["community.id"], name=op.f("fk_membership_community_id_community")
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_membership_company_id_company")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"],
            ["data_subject.live_id"],
            name=op.f("fk_membership_decided_by_data_subject"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_membership_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_membership")),
    )
    op.create_index("ix_membership_company", "membership", ["company_id", "state"], unique=False)
    op.create_index(op.f("ix_membership_decided_by"), "membership", ["decided_by"], unique=False)
    op.create_index(op.f("ix_membership_person_id"), "membership", ["person_id"], unique=False)
    op.create_index(
        "ix_membership_queue",
        "membership",
        ["community_id", "state", "requested_at", "id"],
        unique=False,
    )
    op.create_index(
        "uq_membership_live",
        "membership",
        ["person_id", "company_id", "community_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('pending', 'active')"),
    )
