"""As what somebody answered a request to join.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "membership",
        sa.Column(
            "decided_as", sa.String(), nullable=True, comment="personal: technical of=person_id"
        ),
    )
    op.create_check_constraint(
        op.f("ck_membership_decided_as"), "membership", "decided_as IN ('animator', 'agent')"
    )
