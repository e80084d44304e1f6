"""docs/commands.md, held against the registry: each command, how it is written, and who may give it."""

from dataclasses import replace
from pathlib import Path

import pytest

from component.app import running
from component.commands.model import Asker, Command
from component.commands.registry import Registry, usage
from config.load import load

MANUAL = Path(__file__).parents[2] / "docs" / "commands.md"
CONFIG = """
[component]
jid = "rapport.example.org"
secret = "secret"
port = 1
served_hosts = ["example.org"]
[[virtual]]
node = "shop"
name = "The Bookshop"
members = ["ann@example.org"]
"""

SUB_USER, USER = (Asker(f"{name}@example.org/x", f"{name}@example.org", admin=False, local=True) for name in ("ann", "bob"))
ADMIN = replace(USER, admin=True)
BOTH = replace(SUB_USER, admin=True)
REMOTE = Asker("cat@example.net/x", "cat@example.net", admin=False, local=False)


async def who(command: Command) -> str:
    for asker, them in ((REMOTE, "everybody"), (USER, "users")):
        if await command.may(asker):
            return them
    return ", ".join([them for asker, them in ((SUB_USER, "sub-users"), (ADMIN, "admins")) if await command.may(asker)])


async def table(registry: Registry) -> list[str]:
    """In Markdown."""
    rows = ["| command | in the chat | who | what |", "| --- | --- | --- | --- |"]
    for command in await registry.for_asker(BOTH):
        written = usage(command).replace("|", r"\|")
        rows.append(f"| `{command.node}` | `{written}` | {await who(command)} | {command.help} |")
    return rows


@pytest.fixture
async def registry(tmp_path: Path) -> Registry:
    file = tmp_path / "rapport.toml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    async with running(load(file, {"RAPPORT_STORAGE__URL": f"sqlite:///{tmp_path}/rapport.db"})) as app:
        return app.registry


async def test_the_manual_has_every_command_as_it_is(registry: Registry) -> None:
    rows = "\n".join(await table(registry))
    assert f"\n{rows}\n\n" in MANUAL.read_text(), f"docs/commands.md needs this table:\n{rows}"
