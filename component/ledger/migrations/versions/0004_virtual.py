"""Virtual users: settings, teams, conversations, records, subscriptions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "virtual_users",
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("seed", sa.Text),
        sa.Column("shown", sa.Text, nullable=False),
    )
    op.create_table(
        "virtual_members",
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("jid", sa.Text, primary_key=True),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("paused", sa.Text, nullable=False),
    )
    op.create_table(
        "virtual_conversations",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("member", sa.Text),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
    )
    op.create_table(
        "virtual_records",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("considered", sa.Text, nullable=False),
    )
    op.create_index("virtual_records_of", "virtual_records", ["node", "customer", "id"])
    op.create_index("virtual_records_last", "virtual_records", ["last_at"])
    op.create_table(
        "virtual_lines",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("conversation", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("virtual_lines_of", "virtual_lines", ["conversation", "id"])
    op.create_table(
        "virtual_sent",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
    )
    op.create_table(
        "virtual_subscribers",
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("jid", sa.Text, primary_key=True),
    )
    op.create_table(
        "virtual_watched",
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("jid", sa.Text, primary_key=True),
        sa.Column("granted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "virtual_customers",
        sa.Column("jid", sa.Text, primary_key=True),
        sa.Column("profile", sa.Text, nullable=False),
    )
    op.create_table(
        "virtual_keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
