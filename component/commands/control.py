"""The control socket: how the command line asks a running component (HTTP with JSON on a Unix socket; component/cli/ask.py asks).

| request | answer |
| --- | --- |
| `GET /commands?asker=…` | a list of `{node, title, help, usage, fields: [{name, label, type, required, options, help, value}]}` |
| `POST /command {node, asker?, values: {field: texts}}` | `{note, rows: [[label, value]…]}`, `{note, document}`, `{ask: {note, fields}}` |
| `GET /check` | a list of `[name, ok, detail, mend]` |
| `POST /explain {user, contact}` | `{note, rows: [[label, value]…]}` |
| `POST /import {users: […]}` | JSON lines, as they come |

`asker` is whose command it is, else an admin's. Texts are a text or a list of them; an `ask` wants its fields among the values, once more.
What can't be done is `{error, field?}`: 400 a value that can't be taken, 403 not allowed, 404 not there, 503 the link is down.
Whoever may open the socket (mode 0600) is an admin.
"""

import errno
import json
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import aiohttp.typedefs
from aiohttp import web

from component.checks import Check
from component.commands.model import Answer, Ask, Asker, BadField, Command, Field, Refused, Row
from component.commands.registry import LINK_DOWN, Registry, carry_out, usage
from component.commands.values import Texts, shown
from component.ports import LinkDown
from config import sockets

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hooks:
    """What the command line asks besides commands."""

    check: Callable[[], Awaitable[Sequence[Check]]]
    explain: Callable[[str, str], Awaitable[Answer]]
    """(user, contact), as they were typed. Raises LookupError (no such user), LinkDown, or BadField."""
    importing: Callable[[Sequence[str]], AsyncIterator[Mapping[str, Any]]]
    """Users → what has been done so far, as often as something was. Raises as `explain`."""


class InUse(Exception):
    """Another component answers at the socket's path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: a component is running here already")


class Control:
    """Listens at `path`. `asker` makes the Asker of a JID, or of nobody named: an admin; it raises ValueError with the reason."""

    def __init__(self, path: Path, registry: Registry, asker: Callable[[str | None], Asker], hooks: Hooks) -> None:
        self._path = path
        self._registry = registry
        self._asker = asker
        self._hooks = hooks
        application = web.Application(middlewares=[_errors])
        application.router.add_get("/commands", self._commands)
        application.router.add_post("/command", self._command)
        application.router.add_get("/check", self._check)
        application.router.add_post("/explain", self._explain)
        application.router.add_post("/import", self._import)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self) -> None:
        """Listen, in place of a socket that a killed component left. Raises InUse, or OSError (no such directory, a file is in the way)."""
        listening = _listen(self._path)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        await self._runner.cleanup()
        self._path.unlink(missing_ok=True)

    async def _commands(self, request: web.Request) -> web.Response:
        asker = self._who(request.query.get("asker"))
        return web.json_response([await _described(command, asker) for command in await self._registry.for_asker(asker)])

    async def _command(self, request: web.Request) -> web.Response:
        asked = await _object(request)
        asker = self._who(None if asked.get("asker") is None else _text(asked, "asker"))
        node = _text(asked, "node")
        command = await self._registry.by_word(node, asker)
        if command is None:
            nearest = await self._registry.nearest(node, asker)
            raise _Mistake(404, f"there is no command {node}: {nearest.node} is meant?")
        outcome = await carry_out(command, await command.fields(asker), asker, _texts(asked.get("values", {})))
        if isinstance(outcome, Ask):
            return web.json_response({"ask": {"note": outcome.note, "fields": [_field(field) for field in outcome.fields]}})
        if outcome.document:
            return web.json_response({"note": outcome.note, "document": outcome.document})
        return web.json_response({"note": outcome.note, "rows": _rows(outcome.rows)})

    def _who(self, jid: str | None) -> Asker:
        try:
            return self._asker(jid)
        except ValueError as error:
            raise _Mistake(400, str(error), "asker") from None

    async def _check(self, _request: web.Request) -> web.Response:
        return web.json_response([[check.name, check.ok, check.detail, check.mend] for check in await self._hooks.check()])

    async def _explain(self, request: web.Request) -> web.Response:
        asked = await _object(request)
        try:
            answer = await self._hooks.explain(_text(asked, "user"), _text(asked, "contact"))
        except LookupError as error:
            raise _no_user(error) from None
        return web.json_response({"note": answer.note, "rows": _rows(answer.rows)})

    async def _import(self, request: web.Request) -> web.StreamResponse:
        users = (await _object(request)).get("users")
        if not _is_texts(users):
            raise _Mistake(400, "a list of texts is needed", "users")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            async for progress in self._hooks.importing(users):
                await response.write(_line(progress))
        except LookupError as error:
            await response.write(_line(_no_user(error).said))
        except (BadField, LinkDown) as error:
            await response.write(_line(_refusal(error).said))
        return response


class _Mistake(Exception):
    """What is answered instead, with this HTTP status."""

    def __init__(self, status: int, reason: str, field: str | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.said = {"error": reason} if field is None else {"error": reason, "field": field}


def _no_user(error: LookupError) -> _Mistake:
    return _Mistake(404, str(error.args[0]) if error.args else "there is no such user")


def _listen(path: Path) -> socket.socket:
    address = sockets.address(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the mode of the unbound socket to the file: it is never open to others, not for a moment.
        os.fchmod(listening.fileno(), 0o600)
        try:
            listening.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path, address)
            listening.bind(address)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path, address: str) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way of the control socket", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            log.info("control.stale path=%s", path)
        else:
            raise InUse(path)


@web.middleware
async def _errors(request: web.Request, handler: aiohttp.typedefs.Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Mistake as error:
        mistake = error
    except (BadField, Refused, LinkDown) as error:
        mistake = _refusal(error)
    return web.json_response(mistake.said, status=mistake.status)


def _refusal(error: BadField | Refused | LinkDown) -> _Mistake:
    match error:
        case BadField():
            return _Mistake(400, error.reason, error.name)
        case Refused():
            return _Mistake(403, "this asker may not do that")
        case LinkDown():
            return _Mistake(503, LINK_DOWN)


async def _object(request: web.Request) -> Mapping[str, Any]:
    try:
        asked = json.loads(await request.read())
    except ValueError as error:
        raise _Mistake(400, f"no JSON: {error}") from None
    if not isinstance(asked, dict):
        raise _Mistake(400, "a JSON object is needed")
    return asked


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise _Mistake(400, "a text is needed", name)
    return value


def _texts(values: Any) -> Texts:
    if not isinstance(values, dict):
        raise _Mistake(400, "an object of texts is needed", "values")
    texts = {name: [value] if isinstance(value, str) else value for name, value in values.items()}
    for name, value in texts.items():
        if not _is_texts(value):
            raise _Mistake(400, "a text or a list of texts is needed", name)
    return texts


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


async def _described(command: Command, asker: Asker) -> dict[str, Any]:
    described = {"node": command.node, "title": command.title, "help": command.help, "usage": usage(command)}
    try:
        fields = [_field(field) for field in (*await command.fields(asker), *command.asks)]
    except LinkDown:
        # The other commands are to be had without the link.
        return {**described, "fields": [], "error": LINK_DOWN}
    return {**described, "fields": fields}


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type.value,
        "required": field.required,
        "options": list(field.options),
        "help": field.help,
        "value": list(shown(field)),
    }


def _rows(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [(row.label, row.value) for row in rows]


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"
