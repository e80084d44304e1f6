"""The control socket: what the command line asks, and what it is told."""

import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from component.checks import Check
from component.commands.control import Control, Hooks, InUse
from component.commands.model import Answer, Asker, Row
from component.commands.registry import Registry
from component.ports import LinkDown
from tests.commands.samples import ADMIN, ALICE, Shop


async def check() -> Sequence[Check]:
    return [Check("stream", True, "Prosody 0.12.3"), Check("gate", False, "closed", "modules_enabled")]


async def explain(user: str, contact: str) -> Answer:
    if user == "nobody@example.org":
        raise LookupError
    return Answer(f"What {contact} sees.", [Row("Presence", f"{contact} sees {user} away")])


async def importing(users: Sequence[str]) -> AsyncIterator[Mapping[str, Any]]:
    for user in users:
        if user == "far@example.org":
            raise LinkDown
        yield {"user": user, "done": 2, "total": 2, "new": 1}
    yield {"finished": True}


def asker(jid: str | None) -> Asker:
    if jid == "a@b@c":
        raise ValueError("'a@b@c' is no JID")
    return ADMIN if jid is None else ALICE


def mode(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def read(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rapport.sock"


@pytest.fixture
async def control(path: Path, registry: Registry) -> AsyncIterator[Control]:
    control = Control(path, registry, asker, Hooks(check, explain, importing))
    await control.start()
    yield control
    await control.stop()


@pytest.fixture
async def http(control: Control, path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://rapport", connector=aiohttp.UnixConnector(str(path))) as session:
        yield session


async def post(http: aiohttp.ClientSession, where: str, body: object) -> tuple[int, Any]:
    async with http.post(where, json=body) as response:
        return response.status, await response.json()


async def command(http: aiohttp.ClientSession, node: str, **values: object) -> tuple[int, Any]:
    return await post(http, "/command", {"node": node, "values": values})


async def test_the_commands_are_listed_with_their_fields(http: aiohttp.ClientSession) -> None:
    async with http.get("/commands") as response:
        listed = {each["node"]: each for each in await response.json()}
    assert list(listed) == ["help", "settings", "levels", "fixed", "open", "virtual-users", "contacts-of"]
    assert {key: listed["settings"][key] for key in ("title", "help", "usage")} == {
        "title": "Settings",
        "help": "Sets things.",
        "usage": "settings on|off",
    }
    assert listed["settings"]["fields"][1] == {
        "name": "window",
        "label": "Window",
        "type": "duration",
        "required": True,
        "options": [],
        "help": "",
        "value": ["30m"],
    }
    assert listed["open"]["fields"][0]["options"] == [["contacts", "Contacts"], ["files", "Files"]]
    assert [field["name"] for field in listed["open"]["fields"]] == ["door", "levels", "confirm"]


async def test_a_command_is_run_and_changes_only_what_is_named(http: aiohttp.ClientSession, shop: Shop) -> None:
    assert await command(http, "settings", window="5m") == (200, {"note": "Saved.", "rows": []})
    assert (shop.window, shop.status) == (300.0, "Back soon")


async def test_a_table_comes_as_rows(http: aiohttp.ClientSession) -> None:
    assert await command(http, "levels") == (
        200,
        {"note": "Two contacts.", "rows": [["bob@example.org", "level 1, score 41.5"], ["<&>", "level 5"]]},
    )


async def test_a_question_is_answered_by_its_field_among_the_values(http: aiohttp.ClientSession, shop: Shop) -> None:
    status, said = await command(http, "open", door="files", levels=["1", "2"])
    assert (status, said["ask"]["note"]) == (200, "Three contacts gain by it.")
    assert [field["name"] for field in said["ask"]["fields"]] == ["confirm"]
    assert shop.ran == []
    assert await command(http, "open", door="files", levels=["1", "2"], confirm="yes") == (200, {"note": "Opened.", "rows": []})


async def test_whom_the_command_is_for_can_be_said(http: aiohttp.ClientSession) -> None:
    status, said = await post(http, "/command", {"node": "virtual-users", "asker": "alice@example.org", "values": {}})
    assert (status, said["error"].startswith("there is no command virtual-users: ")) == (404, True)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"node": "settings", "values": {"window": "soon"}}, 400, "window"),
        ({"node": "settings", "values": {"status": "Book\x02shop"}}, 400, "status"),
        ({"node": "settings", "values": {"status": "\ud800"}}, 400, "status"),
        ({"node": "settings", "values": {"windw": "5m"}}, 400, "windw"),
        ({"node": "settings", "values": {"window": 5}}, 400, "window"),
        ({"node": "settings", "values": {"window": ["5m", 5]}}, 400, "window"),
        ({"node": "settings", "values": []}, 400, "values"),
        ({"node": "settings", "asker": "a@b@c"}, 400, "asker"),
        ({"node": 5}, 400, "node"),
        ({}, 400, "node"),
        ([], 400, None),
        ({"node": "contacts-of"}, 403, None),
        ({"node": "setings"}, 404, None),
    ],
)
async def test_what_cannot_be_done_is_an_error_that_names_the_field(
    http: aiohttp.ClientSession, shop: Shop, body: object, status: int, said: str | None
) -> None:
    got, answer = await post(http, "/command", body)
    assert (got, answer.get("field")) == (status, said)
    assert answer["error"]
    assert shop.ran == []


async def test_what_is_no_json_is_an_error(http: aiohttp.ClientSession) -> None:
    async with http.post("/command", data=b"\xff{") as response:
        assert (response.status, "no JSON" in (await response.json())["error"]) == (400, True)


async def test_without_the_link_the_answer_says_so(http: aiohttp.ClientSession, shop: Shop) -> None:
    shop.link_down = True
    status, said = await command(http, "levels")
    assert (status, "does not answer" in said["error"]) == (503, True)


async def test_a_check_comes_as_rows(http: aiohttp.ClientSession) -> None:
    async with http.get("/check") as response:
        assert await response.json() == [["stream", True, "Prosody 0.12.3", ""], ["gate", False, "closed", "modules_enabled"]]


async def test_explain_comes_as_rows(http: aiohttp.ClientSession) -> None:
    asked = {"user": "alice@example.org", "contact": "bob@example.org"}
    rows = [["Presence", "bob@example.org sees alice@example.org away"]]
    assert await post(http, "/explain", asked) == (200, {"note": "What bob@example.org sees.", "rows": rows})
    assert (await post(http, "/explain", {**asked, "user": "nobody@example.org"}))[0] == 404
    assert (await post(http, "/explain", {"user": "alice@example.org"}))[1]["field"] == "contact"


async def test_an_import_tells_line_by_line_and_how_it_ended(http: aiohttp.ClientSession) -> None:
    async with http.post("/import", json={"users": ["alice@example.org"]}) as response:
        lines = [json.loads(line) async for line in response.content]
    assert lines == [{"user": "alice@example.org", "done": 2, "total": 2, "new": 1}, {"finished": True}]
    async with http.post("/import", json={"users": ["alice@example.org", "far@example.org"]}) as response:
        lines = [json.loads(line) async for line in response.content]
    assert lines[0]["new"] == 1
    assert "does not answer" in lines[1]["error"]
    assert (await post(http, "/import", {"users": "alice@example.org"}))[0] == 400


async def test_only_its_owner_may_open_the_socket(control: Control, path: Path) -> None:
    assert mode(path) == 0o600


async def test_a_second_component_does_not_take_the_socket_away(control: Control, path: Path, registry: Registry) -> None:
    with pytest.raises(InUse, match=str(path)):
        await Control(path, registry, asker, Hooks(check, explain, importing)).start()
    async with (
        aiohttp.ClientSession("http://rapport", connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("/check") as response,
    ):
        assert response.status == 200


async def test_a_socket_that_nobody_listens_at_is_replaced(path: Path, registry: Registry) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    control = Control(path, registry, asker, Hooks(check, explain, importing))
    await control.start()
    await control.stop()
    assert mode(path) is None


async def test_a_file_in_the_sockets_place_is_left_alone(path: Path, registry: Registry) -> None:
    write(path, "precious")
    with pytest.raises(FileExistsError, match="no socket"):
        await Control(path, registry, asker, Hooks(check, explain, importing)).start()
    assert read(path) == "precious"
