"""The bounds of S0's commands, without a server."""

from collections.abc import Mapping
from typing import Any

import pytest

from component.commands.model import Answer, Asker, BadField
from component.presence.commands import LONGEST_GROUP, LONGEST_STATUS, MOST_RULES, commands
from component.presence.service import Presence
from component.presence.store import Settings
from component.rules.presence import Rules
from tests.fakes import FakeClock, FakeLedger, FakeServer, item

ALICE = Asker("alice@example.org/phone", "alice@example.org", admin=False, local=True)


class MemoryStore:
    """presence/store.py without a database."""

    async def all(self) -> Mapping[str, Settings]:
        return {}

    async def save(self, user: str, settings: Settings) -> None:
        """Presence itself keeps them while it runs."""


class Given:
    """What alice gives by form."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        server = FakeServer(rosters={ALICE.bare: {"bob@example.org": item("bob@example.org")}})
        self.presence = Presence(server, FakeLedger(), MemoryStore(), self.clock, 0.05, Rules())  # type: ignore[arg-type]
        self.by_node = {command.node: command for command in commands(self.presence, server.roster, self.clock.now)}

    async def always(self, who: str, outcome: str = "xa", length: float | None = None) -> str:
        answer = await self.by_node["presence-always"].run(ALICE, {"who": who, "outcome": outcome, "for": length})
        assert isinstance(answer, Answer)
        return answer.note

    async def refused(self, node: str, values: Mapping[str, Any]) -> BadField:
        with pytest.raises(BadField) as refused:
            await self.by_node[node].run(ALICE, values)
        return refused.value


@pytest.fixture
async def given() -> Given:
    return Given()


async def test_the_number_of_a_users_rules_is_bounded_and_those_that_ended_do_not_count(given: Given) -> None:
    await given.always("soon@example.org", length=10.0)
    for number in range(MOST_RULES - 1):
        await given.always(f"user{number}@example.org")
    one_more = {"who": "bob", "outcome": "dnd", "for": None}
    refusal = await given.refused("presence-always", one_more)
    assert (refusal.name, "already" in refusal.reason) == ("who", True)
    assert "user1@example.org always sees chat" in await given.always("user1@example.org", "chat")
    given.clock.run(10)
    assert "bob@example.org always sees dnd" in await given.always("bob", "dnd")
    assert (await given.refused("presence-always", {**one_more, "who": "eve@example.org"})).name == "who"
    await given.always("bob", "rules")
    await given.always("eve@example.org")


async def test_texts_are_bounded(given: Given) -> None:
    assert (
        await given.refused("presence-always", {"who": "group:" + "x" * (LONGEST_GROUP + 1), "outcome": "xa", "for": None})
    ).name == "who"
    fields = {field.name: field.value for field in await given.by_node["presence"].fields(ALICE)}
    assert (await given.refused("presence", {**fields, "status_busy": "x" * (LONGEST_STATUS + 1)})).name == "status_busy"
