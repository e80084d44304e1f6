"""`rapport demo`: sets the stage, plays the scene, and leaves it open to log in to."""

import asyncio
import logging
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.padding import Padding

from component.app import running
from component.cli import output
from component.demo.client import Client
from component.demo.scene import ACTS, ROSTERS, People
from component.demo.server import COMPONENT, HOST, PASSWORD, DemoServer, Missing
from config.settings import Component, Settings, Storage

LINKED = 10.0
"""Seconds that the link has to come up."""


class _Stage:
    """The scene as it is printed: who does what, and what came of it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def line(self, who: str, does: str, then: str) -> None:
        if who:
            self._console.print(Padding(output.plain(f"{who} {does}"), (0, 0, 0, 2), expand=False))
        self._console.print(Padding(output.plain(f"→ {then}"), (0, 0, 0, 6), expand=False))


def demo(*, once: bool) -> int:
    """Plays the scene; the exit status."""
    try:
        return asyncio.run(_demo(once))
    except Missing as error:
        output.problem(str(error))
        return 1


async def _demo(once: bool) -> int:
    logging.getLogger().setLevel(logging.ERROR)  # the scene is what is to be read
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        with tempfile.TemporaryDirectory(prefix="rapport-demo-") as directory:
            async with _stage(Path(directory)) as (server, people):
                console = output.console()
                console.print(f"A private Prosody on 127.0.0.1, the component {COMPONENT} on SQLite, and {', '.join(people)}.")
                await _play(people, _Stage(console))
                if not once:
                    console.print(_invitation(server.c2s_port))
                    await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not task.cancelling():
            raise
    return 0


async def _play(people: People, stage: _Stage) -> None:
    for act in ACTS:
        await act(people, stage)


@asynccontextmanager
async def _stage(directory: Path) -> AsyncIterator[tuple[DemoServer, People]]:
    async with AsyncExitStack() as stack:
        server = DemoServer(directory, ROSTERS)
        stack.push_async_callback(server.stop)
        await server.start()
        app = await stack.enter_async_context(running(_settings(directory, server)))
        await app.server.settled(LINKED)
        if not app.server.linked(HOST):
            raise Missing(f"the link did not come up: {app.server.refused.get(HOST, app.stream.why_down)}")
        people = {user: Client(user, server.c2s_port) for user in ROSTERS}
        for client in people.values():
            stack.push_async_callback(client.disconnect, 0)
            await client.log_in()
        yield server, people


def _settings(directory: Path, server: DemoServer) -> Settings:
    return Settings(
        component=Component.model_validate(
            {
                "jid": COMPONENT,
                "secret": server.secret,
                "port": server.component_port,
                "served_hosts": [HOST],
                "admins": [f"alice@{HOST}"],
            },
            context={"file": directory / "rapport.toml"},
        ),
        storage=Storage(url=f"sqlite:///{directory}/rapport.db"),
    )


def _invitation(port: int) -> str:
    names: Sequence[str] = list(ROSTERS)
    return (
        f"\nLog in with your own client: {names[0]}@{HOST} (or {', '.join(names[1:])}), password {PASSWORD}, "
        f"server 127.0.0.1, port {port}, without encryption.\n"
        f"Chat with {COMPONENT}: help lists the commands. Ctrl-C ends the demo and removes all of it."
    )
