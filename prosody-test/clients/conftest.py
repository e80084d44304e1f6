"""Fixtures: real clients of a private Prosody with Rapport.

`pytest prosody-test/clients --pictures` writes docs/images anew.
"""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright
from rig.raw import RawClient
from rig.scene import Scene
from rig.server import Host, Server

from clients.client import Client
from clients.converse import FLAGS, PACKAGE, Converse
from clients.gajim import Gajim, Screen
from clients.profanity import Profanity

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", action="store_true", help="write the pictures in docs/images anew")


@pytest.fixture(params=["converse", "gajim", "profanity"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which client."""
    return str(request.param)


class Desk:
    """Where clients run; what several of them share is started with the first."""

    def __init__(self, stack: contextlib.AsyncExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        self._browser: Browser | None = None
        self._screen: Screen | None = None
        self.clients: list[Client] = []

    async def log_in(self, kind: str, server: Server, user: str) -> Client:
        """A client of that kind, with the user's roster before it."""
        directory = self._directory / f"{kind}-{user}"
        directory.mkdir()
        client = await self._make(kind, server, user, directory)
        self._stack.push_async_callback(client.stop)
        await client.start()
        self.clients.append(client)
        return client

    async def _make(self, kind: str, server: Server, user: str, directory: Path) -> Client:
        if kind == "converse":
            return Converse(server, user, directory, await self._chromium())
        if kind == "gajim":
            return Gajim(server, user, directory, await self._x())
        return Profanity(server, user, directory)

    async def _chromium(self) -> Browser:
        assert PACKAGE.is_dir(), "Converse.js is not there: make setup"
        if self._browser is None:
            playwright = await self._stack.enter_async_context(async_playwright())
            self._browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            self._stack.push_async_callback(self._browser.close)
        return self._browser

    async def _x(self) -> Screen:
        if self._screen is None:
            self._screen = Screen(self._directory)
            self._stack.push_async_callback(self._screen.stop)
            await self._screen.start()
        return self._screen


@pytest.fixture
async def desk(_discarded: contextlib.AsyncExitStack) -> AsyncIterator[Desk]:
    """`await desk.log_in("gajim", server, "alice")`."""
    # Not pytest's tmp_path: a UNIX socket in it must have a path of less than 108 bytes.
    made = Desk(_discarded, Path(_discarded.enter_context(tempfile.TemporaryDirectory(prefix="rapport-rig-", ignore_cleanup_errors=True))))
    yield made
    faults = {f"{type(client).__name__} of {client.user}": await client.faults() for client in made.clients}
    assert not any(faults.values()), faults


@pytest.fixture
async def stage(
    make_prosody: Callable[..., Awaitable[Any]],
    rapport: Callable[..., Awaitable[Any]],
    client: Callable[..., Awaitable[RawClient]],
) -> Callable[..., Awaitable[Scene]]:
    """`await stage(users, "bob", settings={…})`: a Prosody that browsers reach, Rapport, and people with a raw session."""

    async def make(users: Any, *people: str, settings: Any = None) -> Scene:
        server = await make_prosody([Host(users=users)], modules=["websocket"], host_extra='http_host = "127.0.0.1"')
        scene = Scene(server, await rapport(server, settings), client)
        if people:
            await scene.enter(*people)
        return scene

    return make


Picture = Callable[[Client, str], Awaitable[None]]


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Picture:
    """`await picture(client, "presence")`: with --pictures, what it shows now becomes docs/images/presence-gajim.png."""

    async def keep(client: Client, name: str) -> None:
        if request.config.getoption("--pictures", default=False) and not isinstance(client, Profanity):
            IMAGES.mkdir(exist_ok=True)
            await client.picture(IMAGES / f"{name}-{type(client).__name__.lower()}.png")

    return keep
