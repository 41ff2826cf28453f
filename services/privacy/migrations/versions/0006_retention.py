"""retention

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "memberships_heard",
        sa.Column(
            "service", sa.String(), nullable=False, comment="not personal: name of a service"
        ),
        sa.Column(
            "until", sa.DateTime(timezone=True), nullable=False, comment="not personal: an instant"
        ),
        sa.PrimaryKeyConstraint("service", name=op.f("pk_memberships_heard")),
    )
    op.create_table(
        "retention_run",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column("rule", sa.String(), nullable=False, comment="not personal: name of a rule"),
        sa.Column("day", sa.Date(), nullable=False, comment="not personal: the day it goes by"),
        sa.Column(
            "by_hand",
            sa.Boolean(),
            nullable=False,
            comment="not personal: whether the DPO asked for it",
        ),
        sa.Column("state", sa.String(), nullable=False, comment="not personal: where it stands"),
        sa.Column(
            "cause",
            sa.String(),
            nullable=True,
            comment="not personal: why it was held, from a closed list",
        ),
        sa.Column(
            "due_warnings",
            sa.Integer(),
            nullable=False,
            comment="not personal: a count: warnings it may give",
        ),
        sa.Column(
            "due_erasures",
            sa.Integer(),
            nullable=False,
            comment="not personal: a count: accounts it may delete",
        ),
        sa.Column(
            "most_warnings",
            sa.Integer(),
            nullable=False,
            comment="not personal: a count: more is unusual",
        ),
        sa.Column(
            "most_erasures",
            sa.Integer(),
            nullable=False,
            comment="not personal: a count: more is unusual",
        ),
        sa.Column(
            "warned", sa.Integer(), nullable=False, comment="not personal: a count: warnings given"
        ),
        sa.Column(
            "erased",
            sa.Integer(),
            nullable=False,
            comment="not personal: a count: deletions asked for",
        ),
        sa.Column(
            "spared",
            sa.Integer(),
            nullable=False,
            comment="not personal: a count: kept, for an event that cannot be read",
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: when it was begun or held",
        ),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: when the DPO was written to",
        ),
        sa.Column(
            "confirmed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: when the DPO confirmed it",
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: when it was over",
        ),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (state IN ('held', 'running'))",
            name=op.f("ck_retention_run_over_has_its_time"),
        ),
        sa.CheckConstraint(
            "state <> 'held' OR cause IS NOT NULL", name=op.f("ck_retention_run_held_for_a_cause")
        ),
        sa.CheckConstraint(
            "warned <= due_warnings AND erased <= due_erasures",
            name=op.f("ck_retention_run_never_more"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_run")),
    )
    op.create_index(
        "ix_retention_run_started_at", "retention_run", ["started_at", "id"], unique=False
    )
    op.create_index(
        "uq_retention_run_day",
        "retention_run",
        ["rule", "day"],
        unique=True,
        postgresql_where=sa.text("NOT by_hand AND state <> 'superseded'"),
    )
    op.create_index(
        "uq_retention_run_open",
        "retention_run",
        ["rule"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "retention",
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column(
            "opened_on", sa.Date(), nullable=True, comment="personal: connection of=person_id"
        ),
        sa.Column(
            "joined_on", sa.Date(), nullable=True, comment="personal: professional of=person_id"
        ),
        sa.Column(
            "holds_role", sa.Boolean(), nullable=False, comment="personal: technical of=person_id"
        ),
        sa.Column(
            "warnings", sa.Integer(), nullable=False, comment="personal: content of=person_id"
        ),
        sa.Column("until", sa.Date(), nullable=True, comment="personal: content of=person_id"),
        sa.Column(
            "warning_id",
            sa.Uuid(),
            nullable=True,
            comment="not personal: opaque id of a warning that is on its way",
        ),
        sa.Column(
            "asked_on",
            sa.Date(),
            nullable=True,
            comment="not personal: when that warning was last asked for",
        ),
        sa.CheckConstraint(
            "(warning_id IS NULL) = (asked_on IS NULL)",
            name=op.f("ck_retention_asked_warnings_have_a_day"),
        ),
        sa.CheckConstraint(
            "warnings = 0 OR until IS NOT NULL", name=op.f("ck_retention_warned_until_a_day")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_retention_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_retention")),
    )
    op.create_index(
        "ix_retention_unwarned",
        "retention",
        ["opened_on", "person_id"],
        unique=False,
        postgresql_where=sa.text("warnings = 0 AND joined_on IS NULL AND NOT holds_role"),
    )
    op.create_index(
        "ix_retention_warned",
        "retention",
        ["warnings", "until", "person_id"],
        unique=False,
        postgresql_where=sa.text("warnings > 0 AND joined_on IS NULL AND NOT holds_role"),
    )
