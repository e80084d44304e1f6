"""S0: who opted in, and with which rules.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "presence_users",
        sa.Column("user", sa.String, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("sent_window", sa.Double, nullable=False),
        sa.Column("received_window", sa.Double, nullable=False),
        sa.Column("unread_max_age", sa.Double, nullable=False),
        sa.Column("outcomes", sa.Text, nullable=False),
    )
    op.create_table(
        "presence_always",
        sa.Column("user", sa.String, primary_key=True),
        sa.Column("who", sa.String, primary_key=True),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("until", sa.Double),
    )
