"""operator actions

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operator_action",
        sa.Column(
            "id", sa.Uuid(), nullable=False, comment="not personal: opaque id, in the order of time"
        ),
        sa.Column("person_id", sa.Uuid(), nullable=True, comment="data subject: fate=detach"),
        sa.Column(
            "action", sa.Text(), nullable=False, comment="not personal: slug, from a closed list"
        ),
        sa.Column(
            "about",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="not personal: opaque ids, counts and names of systems",
        ),
        sa.Column(
            "done_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="not personal: when it was done",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_operator_action_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_action")),
    )
    op.create_index("ix_operator_action_done_at", "operator_action", ["done_at"], unique=False)
    op.create_index("ix_operator_action_person_id", "operator_action", ["person_id"], unique=False)
