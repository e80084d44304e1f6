"""What the command line says and prints with a component that runs; here one that answers from a table."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.cli.running import Done, answering, rapport

CONFIG = """
[component]
jid = "rapport.example.org"
secret = "correct horse"
served_hosts = ["example.org"]
control_socket = "x.sock"
"""
ACTION = {
    "name": "action",
    "label": "Do",
    "type": "list-single",
    "required": True,
    "options": [["list", "List"], ["add", "Add"]],
    "help": "",
}
NODE = {"name": "node", "label": "Node", "type": "text-single", "required": False, "options": [], "help": "its local part"}
SURE = {"name": "sure", "label": "Sure", "type": "boolean", "required": True, "options": [], "help": ""}
COMMANDS = [
    {"node": "virtual-users", "title": "Virtual users", "help": "Lists and changes them.", "usage": "", "fields": [ACTION, NODE]},
    {"node": "conversations", "title": "Conversations", "help": "", "usage": "", "fields": [], "error": "the link is down"},
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "rapport.toml"
    file.touch(0o600)
    file.write_text(CONFIG)
    return file


class Component:
    """Keeps what it was asked, and gives one answer to each path."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    async def _answer(self, request: web.Request) -> web.Response:
        if request.can_read_body:
            self.asked.append(await request.json())
        answer = self.answers[request.path.strip("/")]
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer, status=400 if "error" in answer else 200)

    async def hear(self, config: Path, *words: str) -> Done:
        async with answering(config.with_name("x.sock"), web.get("/{path}", self._answer), web.post("/{path}", self._answer)):
            return await rapport(*words, at=config.parent)


async def test_admin_sends_the_words_as_values_and_prints_note_and_rows(config: Path) -> None:
    component = Component(commands=COMMANDS, command={"note": "1 virtual user.", "rows": [["shop", "The [red]Bookshop\x9b"]]})
    done = await component.hear(config, "admin", "virtual-users", "add", "--node", "shop")
    assert (done.status, done.err) == (0, "")
    assert component.asked == [{"node": "virtual-users", "asker": None, "values": {"action": ["add"], "node": ["shop"]}}]
    assert [line.rstrip() for line in done.out.splitlines()] == ["1 virtual user.", "shop  The [red]Bookshop\ufffd"]


async def test_the_config_may_be_named_anywhere_among_the_words(config: Path) -> None:
    component = Component(commands=COMMANDS, command={"note": "Done.", "rows": []})
    done = await component.hear(config, "admin", "virtual-users", "--config", str(config), "list")
    assert (done.status, component.asked[0]["values"]) == (0, {"action": ["list"]})


async def test_admin_help_lists_the_commands_and_the_fields_of_one(config: Path) -> None:
    component = Component(commands=COMMANDS)
    everything = await component.hear(config, "admin", "--help")
    assert everything.status == 0
    assert "virtual-users  Virtual users" in everything.out
    one = await component.hear(config, "admin", "virtual-users", "--help")
    assert one.status == 0
    assert one.out.startswith("rapport admin virtual-users list|add [--node NODE]\n")
    assert "--node    Node; its local part" in one.out


async def test_what_admin_cannot_say_is_one_line_and_exit_1(config: Path) -> None:
    component = Component(commands=COMMANDS, command={"error": "it is taken", "field": "node"})
    for words, reason in [
        (("virtual-user", "list"), "there is no command 'virtual-user': 'virtual-users' is meant?\n"),
        (("virtual-users", "--nod", "x"), "virtual-users has no --nod: --node is meant?\n"),
        (("virtual-users", "add", "shop"), "node: it is taken\n"),
        (("conversations",), "the link is down\n"),
    ]:
        done = await component.hear(config, "admin", *words)
        assert (done.status, done.out, done.err) == (1, "", reason)


async def test_a_question_back_is_shown_with_what_to_add(config: Path) -> None:
    component = Component(commands=COMMANDS, command={"ask": {"note": "3 conversations are open.", "fields": [SURE]}})
    done = await component.hear(config, "admin", "virtual-users", "list")
    assert done.status == 1
    assert "3 conversations are open." in done.out
    assert "--sure" in done.out


async def test_explain_asks_of_the_users_jid_with_the_contact_as_it_was_typed(config: Path) -> None:
    component = Component(explain={"note": "What bob@x.org sees.", "rows": [["Presence", "away"]]})
    done = await component.hear(config, "explain", "Alice", "Bob")
    assert component.asked == [{"user": "alice@example.org", "contact": "Bob"}]
    assert (done.status, done.out.split("\n")[0], done.out.split()[-2:]) == (0, "What bob@x.org sees.", ["Presence", "away"])


async def test_check_prints_a_row_each_and_fails_if_one_does(config: Path) -> None:
    rows = [["stream", True, "connected", ""], ["link example.org", True, "version 0", "not shown"]]
    done = await Component(check=rows).hear(config, "check")
    assert done.status == 0
    assert [line.split() for line in done.out.splitlines()][:2] == [["check", "state", "detail"], ["stream", "ok", "connected"]]
    assert "not shown" not in done.out
    rows.append(["gate example.org", False, "no link", 'modules_enabled = { "rapport" }'])
    done = await Component(check=rows).hear(config, "check")
    assert done.status == 1
    assert "FAILS" in done.out
    assert 'mend: modules_enabled = { "rapport" }' in done.out


def steps(*said: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(step).encode() + b"\n" for step in said)


async def test_an_import_is_summed_up_by_user(config: Path) -> None:
    component = Component(
        **{
            "import": steps(
                {"user": "alice@example.org", "done": 50, "total": 101, "new": 50},
                {"user": "alice@example.org", "done": 101, "total": 101, "new": 100},
                {"user": "bob@example.org", "done": 0, "total": None, "new": 0},
                {"finished": True},
            )
        }
    )
    done = await component.hear(config, "import-archive", "alice", "bob@example.org", "ALICE")
    assert component.asked == [{"users": ["alice@example.org", "bob@example.org"]}]
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == ["alice@example.org: 101 messages, 100 new", "bob@example.org: 0 messages, 0 new"]


async def test_an_import_that_fails_says_why_after_what_was_done(config: Path) -> None:
    component = Component(
        **{"import": steps({"user": "alice@example.org", "done": 50, "total": 101, "new": 50}, {"error": "the link is down"})}
    )
    done = await component.hear(config, "import-archive", "alice")
    assert (done.status, done.err) == (1, "the link is down\n")
    assert done.out == "alice@example.org: 50 messages, 50 new\n"
