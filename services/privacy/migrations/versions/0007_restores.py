"""restores

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "retention_run",
        sa.Column(
            "restores",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="not personal: a count: times the database had been restored before",
        ),
    )
