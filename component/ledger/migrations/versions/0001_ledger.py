"""Facts, what is derived from them, the link's mark, and the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "jids",
        sa.Column("id", row_number, primary_key=True),
        sa.Column("jid", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "facts",
        sa.Column("id", row_number, primary_key=True),
        sa.Column("what", sa.SmallInteger, nullable=False),
        sa.Column("sender", sa.Integer, nullable=False),
        sa.Column("recipient", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("stanza_id", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("upto", sa.Double),
        sa.Column("tapped", sa.Boolean, nullable=False),
        sa.Column("voided", sa.Boolean, nullable=False),
        sa.Column("sender_archive", sa.Text),
        sa.Column("recipient_archive", sa.Text),
    )
    op.create_index("facts_pair", "facts", ["sender", "recipient", "at"])
    for side in ("sender_archive", "recipient_archive"):
        known = sa.text(f"{side} IS NOT NULL")
        op.create_index(f"facts_{side}", "facts", [side], sqlite_where=known, postgresql_where=known)
    op.create_index("facts_imported", "facts", ["at"], sqlite_where=sa.text("tapped = 0"), postgresql_where=sa.text("NOT tapped"))
    op.create_table(
        "pairs",
        sa.Column("sender", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("recipient", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("new_at", sa.Double, nullable=False),
        sa.Column("read_at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("pairs_recipient", "pairs", ["recipient", "sender"])
    op.create_table(
        "scores",
        sa.Column("sender", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("recipient", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("scores_recipient", "scores", ["recipient", "sender"])
    op.create_table(
        "marks",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "queue",
        sa.Column("id", row_number, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("queue_key", "queue", ["key", "id"])
