"""browser sessions

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
        "session",
        sa.Column(
            "browser_hash",
            sa.String(),
            nullable=True,
            comment="not personal: SHA-256 of a random secret, for a browser's session",
        ),
    )
    op.create_unique_constraint(op.f("uq_session_browser_hash"), "session", ["browser_hash"])
