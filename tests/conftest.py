"""Fixtures of the database: the tests that use it run on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from rig.postgres import Postgres

from component.ledger.engine import Database
from component.ledger.facts import Ledger


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private cluster."""
    with Postgres() as cluster:
        yield cluster


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rapport.db"


@pytest.fixture
def postgresql_url(postgres: Postgres) -> str:
    """A new, empty database."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(storage_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(storage_url)
    yield opened
    await opened.close()


@pytest.fixture
async def ledger(database: Database) -> Ledger:
    return await Ledger.open(database)
