"""escalations and waivers

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "escalation_mail",
        sa.Column("mail_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "composed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: when its content was fixed",
        ),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="not personal: tries to send it"
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: next try to send it",
        ),
        sa.Column(
            "sent_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: when the mail server had accepted it",
        ),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_escalation_mail")),
    )
    op.create_index(
        op.f("ix_escalation_mail_composed_at"), "escalation_mail", ["composed_at"], unique=False
    )
    op.create_index(
        "ix_escalation_mail_unsent",
        "escalation_mail",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.create_table(
        "erasure_alias",
        sa.Column("alias_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "erasure_id",
            sa.Uuid(),
            nullable=False,
            comment="not personal: opaque id of the erasure that it follows",
        ),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: instant of the request",
        ),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.erasure_id"], name=op.f("fk_erasure_alias_erasure_id_erasure")
        ),
        sa.PrimaryKeyConstraint("alias_id", name=op.f("pk_erasure_alias")),
    )
    op.create_index(
        op.f("ix_erasure_alias_erasure_id"), "erasure_alias", ["erasure_id"], unique=False
    )
    op.create_table(
        "escalation",
        sa.Column("erasure_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "participant", sa.String(), nullable=False, comment="not personal: name of a system"
        ),
        sa.Column(
            "level",
            sa.SmallInteger(),
            nullable=False,
            comment="not personal: quarters of the step's time that were over",
        ),
        sa.Column(
            "escalated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: when it was noticed",
        ),
        sa.Column(
            "mail_id", sa.Uuid(), nullable=True, comment="not personal: the mail that tells of it"
        ),
        sa.CheckConstraint("level BETWEEN 1 AND 4", name=op.f("ck_escalation_level_is_a_quarter")),
        sa.ForeignKeyConstraint(
            ["erasure_id", "participant"],
            ["step.erasure_id", "step.participant"],
            name="fk_escalation_step",
        ),
        sa.ForeignKeyConstraint(
            ["mail_id"],
            ["escalation_mail.mail_id"],
            name=op.f("fk_escalation_mail_id_escalation_mail"),
        ),
        sa.PrimaryKeyConstraint("erasure_id", "participant", "level", name=op.f("pk_escalation")),
    )
    op.create_index(op.f("ix_escalation_mail_id"), "escalation", ["mail_id"], unique=False)
    op.create_index(
        "ix_escalation_untold",
        "escalation",
        ["escalated_at"],
        unique=False,
        postgresql_where=sa.text("mail_id IS NULL"),
    )
    op.create_table(
        "waiver",
        sa.Column("erasure_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "participant", sa.String(), nullable=False, comment="not personal: name of a system"
        ),
        sa.Column(
            "reason", sa.String(), nullable=False, comment="not personal: slug, from a closed list"
        ),
        sa.Column(
            "reference",
            sa.String(length=40),
            nullable=True,
            comment="not personal: number of a file, in capitals, digits and hyphens",
        ),
        sa.Column(
            "waived_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: when it was decided",
        ),
        sa.Column("waived_by", sa.Uuid(), nullable=True, comment="data subject: fate=detach"),
        sa.ForeignKeyConstraint(
            ["erasure_id", "participant"],
            ["step.erasure_id", "step.participant"],
            name="fk_waiver_step",
        ),
        sa.ForeignKeyConstraint(
            ["waived_by"], ["data_subject.live_id"], name=op.f("fk_waiver_waived_by_data_subject")
        ),
        sa.PrimaryKeyConstraint("erasure_id", "participant", name=op.f("pk_waiver")),
    )
    op.create_index(op.f("ix_waiver_waived_by"), "waiver", ["waived_by"], unique=False)
    op.add_column(
        "erasure",
        sa.Column(
            "keep_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: until when the proof stays, as the certificate tells it",
        ),
    )
    op.create_index(
        "ix_erasure_keep_until",
        "erasure",
        ["keep_until"],
        unique=False,
        postgresql_where=sa.text("keep_until IS NOT NULL"),
    )
    op.add_column(
        "refusal",
        sa.Column(
            "hour",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: the hour in which they came",
        ),
    )
    op.add_column(
        "refusal",
        sa.Column(
            "times",
            sa.BigInteger(),
            server_default="1",
            nullable=False,
            comment="not personal: how many there were",
        ),
    )
    op.create_index(
        "uq_refusal_hour",
        "refusal",
        ["hour", "sender", "cause"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("hour IS NOT NULL"),
    )
    op.add_column(
        "step",
        sa.Column(
            "escalated",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="not personal: quarters of its time after which the DPO was told",
        ),
    )
    op.add_column(
        "step",
        sa.Column(
            "escalate_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("'epoch'"),
            nullable=True,
            comment="not personal: when to tell the DPO next, if it is still open",
        ),
    )
    op.create_index(
        "ix_step_escalate_at",
        "step",
        ["escalate_at"],
        unique=False,
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_constraint(op.f("ck_step_proven_steps_have_an_instant"), "step", type_="check")
    op.create_check_constraint(
        op.f("ck_step_proven_steps_have_an_instant"),
        "step",
        "(outcome IS NULL OR outcome = 'waived') = (acknowledged_at IS NULL)",
        postgresql_not_valid=True,
    )
    op.execute("ALTER TABLE step VALIDATE CONSTRAINT ck_step_proven_steps_have_an_instant")
    op.execute("UPDATE erasure SET keep_until = completed_at + interval '1825 days'")
