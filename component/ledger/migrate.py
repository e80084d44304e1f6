"""The schema: Alembic's migrations, run when a database is opened (migrations/versions/NNNN_words.py).

A capability with tables of its own adds migrations beside the ledger's. Each has a number of its own and names the one that it needs as
`down_revision`; two may name the same one, so that capabilities don't wait for each other.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7229_2067
"""PostgreSQL's advisory lock: two processes that open an empty database must not both fill it."""


class DatabaseTooNew(Exception):
    """A newer Rapport has written there; the message says so in one line."""


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, in one transaction.

    Raises:
        DatabaseTooNew: it has a migration that this Rapport does not know; nothing was changed.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        applied = set(MigrationContext.configure(connection).get_current_heads())
        if unknown := applied - known:
            raise DatabaseTooNew(
                f"the database was written by a newer Rapport: it has migration {', '.join(sorted(unknown))}, "
                f"this one knows up to {', '.join(sorted(scripts.get_heads()))}"
            )
        if applied != set(scripts.get_heads()):
            command.upgrade(config, "heads")
