"""Alembic's environment: component/ledger/migrate.py gives the connection, and the transaction on it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True, transaction_per_migration=False)
context.run_migrations()
