"""A newsletter can be refused before joining its community.

Revision: 0005, after 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = op.f("ck_subscription_state_known")
    op.drop_constraint(name, "subscription", type_="check")
    op.create_check_constraint(
        name, "subscription", "state IN ('subscribed', 'unsubscribed', 'refused')"
    )
