"""docs/virtual.md, held against what there is: commands with their fields, policies, slash commands, bounds."""

from pathlib import Path

from component.commands.model import Asker
from component.ledger.engine import Database
from component.rules.routing import POLICIES
from component.rules.slash import Word
from component.virtual import conversations, deliveries, model, status
from component.virtual.commands import MOST_ROWS, commands
from tests.virtual.fakes import Shop

MANUAL = (Path(__file__).parents[2] / "docs" / "virtual.md").read_text()
ADMIN = Asker("admin@example.org/desk", "admin@example.org", admin=True, local=True)


async def test_every_command_is_there_with_its_fields(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    shop = await Shop.opened(database)
    for command in commands(shop.virtual):
        lines = [line for line in MANUAL.splitlines() if f"`{command.node}`" in line]
        assert lines, command.node
        if command.node.startswith("virtual-"):
            for field in await command.fields(ADMIN):
                assert any(f"`{field.name}`" in line for line in lines), (command.node, field.name)
    await database.close()


def test_every_policy_and_every_slash_command_is_there() -> None:
    for policy in POLICIES:
        assert f"`{policy}`" in MANUAL, policy
    for word in Word:
        assert f"`/{word.value}" in MANUAL, word


def test_every_bound_is_there() -> None:
    for bound in (
        conversations.MOST_WAITING,
        conversations.MOST_KEPT,
        conversations.FEW_WAITING,
        conversations.MOST_OPEN,
        deliveries.MOST_SENT,
        model.LINES,
        model.LONGEST_LINE,
        MOST_ROWS,
        status.MOST_LOCATED,
    ):
        assert f"{bound:,}" in MANUAL, bound
