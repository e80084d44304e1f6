"""Contact levels: which of those who wrote under their real name only answered."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("levels_talks", sa.Column("answered", sa.Boolean, nullable=False, server_default=sa.false()))
