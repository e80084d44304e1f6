"""What is kept of users, as admins ask for it and end it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from component.commands.chat import Chat
from component.commands.model import Answer
from component.commands.registry import Registry, carry_out
from component.commands.users import commands
from component.ports import LinkDown
from tests.commands.samples import ADMIN, ALICE

KEPT: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "alice@example.org": {
        "facts": [{"sender": "alice@example.org", "at": 1.5}, {"sender": "j\u00f6@h", "at": 2.0}],
        "labels": [{"labels": "x"}],
    },
    "bob@elsewhere.example": {"labels": [{"labels": "y"}]},
}


class World:
    """Records in memory."""

    def __init__(self) -> None:
        self.kept = {user: dict(tables) for user, tables in KEPT.items()}
        self.linked = True
        self.registry = Registry(commands(self, self.erase, ["example.org"], lambda: 1_764_040_000.0))

    async def users(self) -> Mapping[str, Mapping[str, int]]:
        return {user: {table: len(rows) for table, rows in tables.items()} for user, tables in self.kept.items()}

    async def export(self, user: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        return self.kept.get(user, {})

    async def erase(self, user: str) -> None:
        if not self.linked:
            raise LinkDown
        self.kept.pop(user, None)

    async def run(self, node: str, **texts: str) -> Answer:
        command = await self.registry.by_node(node, ADMIN)
        assert command is not None
        answer = await carry_out(command, await command.fields(ADMIN), ADMIN, {name: [text] for name, text in texts.items()})
        assert isinstance(answer, Answer)
        return answer

    async def say(self, line: str) -> str:
        return await Chat(self.registry).answer(ADMIN, line)


@pytest.fixture
def world() -> World:
    return World()


async def test_they_are_for_admins_alone(world: World) -> None:
    nodes = {command.node for command in await world.registry.for_asker(ALICE)}
    assert nodes & {"users", "export", "erase"} == set()


async def test_users_of_the_served_hosts_are_listed_with_how_much_is_kept_of_them(world: World) -> None:
    answer = await world.run("users")
    assert [(row.label, row.value) for row in answer.rows] == [("alice@example.org", "facts 2, labels 1")]
    assert answer.note == "Of 1 user something is kept."


async def test_an_export_is_one_document_with_all_of_it(world: World) -> None:
    answer = await world.run("export", user="ALICE@example.org/phone")
    assert json.loads(answer.document) == {
        "user": "alice@example.org",
        "exported_at": "2025-11-25T03:06:40+00:00",
        "records": KEPT["alice@example.org"],
    }
    assert [row.label for row in answer.rows] == ["facts 1", "facts 2", "labels 1"]
    assert json.loads(answer.rows[1].value) == KEPT["alice@example.org"]["facts"][1]


async def test_of_a_stranger_the_document_says_that_nothing_is_kept(world: World) -> None:
    answer = await world.run("export", user="nobody@example.org")
    assert answer.note == "Nothing is kept of nobody@example.org."
    assert json.loads(answer.document)["records"] == {}


async def test_erasing_asks_once_more_and_says_what_would_go(world: World) -> None:
    asked = await world.say("erase alice@example.org")
    assert "This is kept of alice@example.org: facts 2, labels 1." in asked
    assert asked.endswith("erase alice@example.org confirm=yes")
    assert "alice@example.org" in world.kept
    assert await world.say("erase alice@example.org confirm=no") == "Nothing was erased."
    assert "alice@example.org" in world.kept
    assert await world.say("erase alice@example.org confirm=yes") == "Nothing is kept of alice@example.org any more."
    assert world.kept.keys() == {"bob@elsewhere.example"}


async def test_without_the_link_nothing_is_erased(world: World) -> None:
    world.linked = False
    assert "does not answer" in await world.say("erase alice@example.org confirm=yes")
    assert "alice@example.org" in world.kept
