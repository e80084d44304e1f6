"""Who opted in to S0, and with which rules (spec/10-presence.md). Tables `presence_users` and `presence_always`."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Boolean, Column, Connection, Double, MetaData, String, Table, Text, delete, select

from component.ledger.engine import Database
from component.ledger.erase import JSON, by_columns
from component.rules.presence import Always, Case, Outcome, Rules, Show

metadata = MetaData()
USERS = Table(
    "presence_users",
    metadata,
    Column("user", String, primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("sent_window", Double, nullable=False),
    Column("received_window", Double, nullable=False),
    Column("unread_max_age", Double, nullable=False),
    Column("outcomes", Text, nullable=False, info=JSON),
)
ALWAYS = Table(
    "presence_always",
    metadata,
    Column("user", String, primary_key=True),
    Column("who", String, primary_key=True),
    Column("outcome", String, nullable=False),
    Column("until", Double),
)
PARTS = (by_columns(USERS, USERS.c.user), by_columns(ALWAYS, ALWAYS.c.user, ALWAYS.c.who))
"""For export and erase (ledger/erase.py)."""


@dataclass(frozen=True)
class Settings:
    """One user's."""

    enabled: bool = False
    rules: Rules = field(default_factory=Rules)
    always: Mapping[str, Always] = field(default_factory=dict)
    """By whom they are for."""


class Store:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, Settings]:
        """Every user who ever set something, by bare JID."""

        def work(connection: Connection) -> dict[str, Settings]:
            always: dict[str, dict[str, Always]] = defaultdict(dict)
            for row in connection.execute(select(ALWAYS).order_by(ALWAYS.c.user, ALWAYS.c.who)):
                always[row.user][row.who] = Always(row.who, Outcome(Show(row.outcome)), row.until)
            return {row.user: Settings(row.enabled, _rules(row), always[row.user]) for row in connection.execute(select(USERS))}

        return await self._database.read(work)

    async def save(self, user: str, settings: Settings) -> None:
        rules = settings.rules
        outcomes = {case.value: [outcome.show.value, outcome.status] for case, outcome in rules.outcomes}
        always = settings.always.values()

        def work(connection: Connection) -> None:
            connection.execute(delete(USERS).where(USERS.c.user == user))
            connection.execute(delete(ALWAYS).where(ALWAYS.c.user == user))
            connection.execute(
                USERS.insert(),
                {
                    "user": user,
                    "enabled": settings.enabled,
                    "sent_window": rules.sent_window,
                    "received_window": rules.received_window,
                    "unread_max_age": rules.unread_max_age,
                    "outcomes": json.dumps(outcomes, ensure_ascii=False),
                },
            )
            if settings.always:
                connection.execute(
                    ALWAYS.insert(),
                    [{"user": user, "who": rule.who, "outcome": rule.outcome.show.value, "until": rule.until} for rule in always],
                )

        await self._database.write(work)


def _rules(row: object) -> Rules:
    outcomes: dict[str, list[str]] = json.loads(row.outcomes)  # type: ignore[attr-defined]  # a row of USERS
    return Rules(
        row.sent_window,  # type: ignore[attr-defined]
        row.received_window,  # type: ignore[attr-defined]
        row.unread_max_age,  # type: ignore[attr-defined]
        tuple((case, Outcome(Show(outcomes[case.value][0]), outcomes[case.value][1])) for case in Case),
    )
