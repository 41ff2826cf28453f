"""missed erasures

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "participant",
        sa.Column(
            "looked_through",
            sa.BigInteger(),
            nullable=True,
            comment="not personal: place in the ledger up to which it was asked, or is told what it "
            "missed",
        ),
    )
    op.create_table(
        "missed",
        sa.Column("erasure_id", sa.Uuid(), nullable=False, comment="not personal: opaque id"),
        sa.Column(
            "participant", sa.String(), nullable=False, comment="not personal: name of a system"
        ),
        sa.Column(
            "position", sa.BigInteger(), nullable=False, comment="not personal: place in the ledger"
        ),
        sa.Column(
            "times",
            sa.Integer(),
            nullable=False,
            comment="not personal: times that it was told since it is back",
        ),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: when it was last told",
        ),
        sa.Column(
            "tell_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: when to tell it again, unless it has answered",
        ),
        sa.Column(
            "outcome",
            sa.String(),
            nullable=True,
            comment="not personal: what it answered; null until then",
        ),
        sa.Column(
            "acknowledged_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not personal: when it answered",
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (acknowledged_at IS NULL)",
            name=op.f("ck_missed_answers_have_an_instant"),
        ),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.erasure_id"], name=op.f("fk_missed_erasure_id_erasure")
        ),
        sa.ForeignKeyConstraint(
            ["participant"], ["participant.name"], name=op.f("fk_missed_participant_participant")
        ),
        sa.ForeignKeyConstraint(
            ["position"], ["broadcast.position"], name=op.f("fk_missed_position_broadcast")
        ),
        sa.PrimaryKeyConstraint("erasure_id", "participant", name=op.f("pk_missed")),
    )
    op.create_index("ix_missed_participant", "missed", ["participant", "position"], unique=False)
    op.create_index(
        "ix_missed_tell_at",
        "missed",
        ["tell_at"],
        unique=False,
        postgresql_where=sa.text("outcome IS NULL"),
    )
