"""Asks the running component, by its control socket: HTTP with JSON on a Unix socket (component/commands/control.py answers)."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from config import sockets

_SLOWEST = aiohttp.ClientTimeout(total=60)
"""A check awaits answers of the server (10 s each)."""
_ENDLESS = aiohttp.ClientTimeout(total=None)


class NotRunning(Exception):
    """No component answers at this socket."""

    def __init__(self, socket: Path) -> None:
        super().__init__(f"no component is running here (nothing answers at {socket}): start it with 'rapport run'")


class Failed(Exception):
    """The component took the question and says why it can't be answered; or may not be asked."""


async def get(socket: Path, path: str) -> Any:
    """The answer to `GET path`. Raises NotRunning or Failed."""
    async with _asked(socket, "GET", path, None, _SLOWEST) as answer:
        return await answer.json()


async def post(socket: Path, path: str, body: Mapping[str, Any]) -> Any:
    """The answer to `POST path`. Raises NotRunning or Failed."""
    async with _asked(socket, "POST", path, body, _SLOWEST) as answer:
        return await answer.json()


async def stream(socket: Path, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
    """The JSON lines that answer `POST path`, one by one. Raises NotRunning or Failed."""
    async with _asked(socket, "POST", path, body, _ENDLESS) as answer:
        async for line in answer.content:
            yield json.loads(line)


@asynccontextmanager
async def _asked(
    socket: Path, method: str, path: str, body: Mapping[str, Any] | None, limit: aiohttp.ClientTimeout
) -> AsyncIterator[aiohttp.ClientResponse]:
    try:
        connector = aiohttp.UnixConnector(sockets.address(socket))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit) as session,
            session.request(method, f"http://rapport{path}", json=body) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                raise Failed(_reason(await answer.text(), answer.status))
            yield answer
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, PermissionError):
            raise Failed(f"{socket} may not be opened by this user: ask as the one who runs the component") from None
        raise NotRunning(socket) from None
    except FileNotFoundError:
        raise NotRunning(socket) from None
    except TimeoutError:
        raise Failed("the component did not answer within a minute") from None
    except aiohttp.ClientError:
        raise Failed("the component ended before it had answered") from None


def _reason(text: str, status: int) -> str:
    try:
        answer = json.loads(text)
    except json.JSONDecodeError:
        return f"the component answered with HTTP status {status}"
    return f"{answer['field']}: {answer['error']}" if answer.get("field") else str(answer["error"])
