"""What people chose about the messages they get.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "preference",
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("kind", sa.String(), nullable=False, comment="personal: preference"),
        sa.Column("mail", sa.Boolean(), nullable=False, comment="personal: preference"),
        sa.Column("site", sa.Boolean(), nullable=False, comment="personal: preference"),
        sa.Column("frequency", sa.String(), nullable=False, comment="personal: preference"),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), nullable=False, comment="personal: preference"
        ),
        sa.CheckConstraint(
            "frequency IN ('at_once', 'daily', 'weekly')",
            name=op.f("ck_preference_frequency_known"),
        ),
        sa.CheckConstraint(
            "kind IN ('membership_granted', 'membership_refused', 'membership_requested', 'consultation_published', 'notice_published', 'retention_warning')",
            name=op.f("ck_preference_kind_known"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_preference_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("person_id", "kind", name=op.f("pk_preference")),
    )
