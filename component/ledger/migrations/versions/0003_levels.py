"""Contact levels: labels, doors, real names, lists, files, looks, talks, introductions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "levels_labels",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("contact", sa.Text, primary_key=True),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("level", sa.SmallInteger),
        sa.Column("pinned", sa.Boolean, nullable=False),
    )
    op.create_table(
        "levels_doors",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("door", sa.Text, primary_key=True),
        sa.Column("levels", sa.Text, nullable=False),
        sa.Column("names", sa.Boolean, nullable=False),
    )
    op.create_table(
        "levels_real_names",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("fn", sa.Text, nullable=False),
        sa.Column("given", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("photo", sa.Text, nullable=False),
    )
    op.create_index("levels_real_names_domain", "levels_real_names", ["domain"])
    op.create_table(
        "levels_unlisted",
        sa.Column("jid", sa.Text, primary_key=True),
        sa.Column("domain", sa.Text, nullable=False),
    )
    op.create_index("levels_unlisted_domain", "levels_unlisted", ["domain"])
    op.create_table(
        "levels_files",
        sa.Column("id", row_number, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("hashes", sa.Text, nullable=False),
        sa.Column("level", sa.SmallInteger),
    )
    op.create_index("levels_files_owner", "levels_files", ["owner"])
    op.create_table(
        "levels_looks",
        sa.Column("id", row_number, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("door", sa.Text, nullable=False),
        sa.Column("level", sa.SmallInteger),
        sa.Column("granted", sa.Boolean, nullable=False),
    )
    op.create_index("levels_looks_owner", "levels_looks", ["owner", "granted", "id"])
    op.create_table(
        "levels_talks",
        sa.Column("writer", sa.Text, primary_key=True),
        sa.Column("reader", sa.Text, primary_key=True),
    )
    op.create_table(
        "levels_introductions",
        sa.Column("asker", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_index("levels_introductions_at", "levels_introductions", ["at"])
