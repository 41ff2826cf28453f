"""companies that left

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COMMENT = "not personal: opaque id of a company"


def upgrade() -> None:
    for table in ("consultation", "reply"):
        op.alter_column(
            table,
            "company_id",
            existing_type=sa.Uuid(),
            nullable=True,
            comment=f"{_COMMENT}; null once its sheet is gone",
            existing_comment=_COMMENT,
        )
