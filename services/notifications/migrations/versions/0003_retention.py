"""retention

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


KINDS = (
    "'membership_granted', 'membership_refused', 'membership_requested',"
    " 'consultation_published', 'notice_published', 'retention_warning'"
)


def upgrade() -> None:
    op.create_table(
        "retention_warning",
        sa.Column("id", sa.Uuid(), nullable=False, comment="not personal: opaque id of a warning"),
        sa.Column("person_id", sa.Uuid(), nullable=False, comment="data subject: fate=delete"),
        sa.Column("until", sa.Date(), nullable=False, comment="personal: content"),
        sa.Column(
            "notice_days",
            sa.Integer(),
            nullable=False,
            comment="not personal: full days between the mail and that day",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["data_subject.live_id"],
            name=op.f("fk_retention_warning_person_id_data_subject"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_warning")),
    )
    op.create_index(
        op.f("ix_retention_warning_person_id"), "retention_warning", ["person_id"], unique=False
    )
    for table in ("delivery", "notice"):
        op.drop_constraint(op.f(f"ck_{table}_kind_known"), table)
        op.create_check_constraint(op.f(f"ck_{table}_kind_known"), table, f"kind IN ({KINDS})")
