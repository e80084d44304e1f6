"""Gajim (Debian's 1.7.3) on a screen of its own. Its own end is gajim_inside.py."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rig.process import Process, lines_of
from rig.server import COMPONENT, PASSWORD, Server
from rig.wait import eventually, until

from clients.client import PATIENCE, Client, Value

INSIDE = Path(__file__).with_name("gajim_inside.py")
COMMANDS, MAIN = "AdHocCommands", "MainWindow"
"""Its windows, by their classes."""


class Screen:
    """An X screen that nobody sees."""

    def __init__(self, directory: Path) -> None:
        self._process = Process(["Xvfb", "-displayfd", "1", "-screen", "0", "1400x950x24", "-nolisten", "tcp"], directory / "xvfb.log")
        self.display = ""

    async def start(self) -> None:
        await self._process.start()
        await until(lambda: lines_of(self._process.log, r"^\d+$"), PATIENCE, "Xvfb is up")
        self.display = ":" + lines_of(self._process.log, r"^\d+$")[0]

    async def stop(self) -> None:
        await self._process.end()


class Gajim(Client):
    """See `Client`."""

    def __init__(self, server: Server, user: str, directory: Path, screen: Screen) -> None:
        super().__init__(server, user, directory)
        self._log = directory / "gajim.log"
        argv = ["/usr/bin/python3", "-P", str(INSIDE), str(directory), user, server.domain, PASSWORD, str(server.c2s_port)]
        environment = {"DISPLAY": screen.display, "LC_ALL": "C.UTF-8", "NO_AT_BRIDGE": "1", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
        self._process = Process(argv, self._log, environment)

    async def ask(self, verb: str, *arguments: Any) -> Any:
        """Have it do something (gajim_inside.py): the result."""
        reader, writer = await asyncio.open_unix_connection(str(self.directory / "control"))
        try:
            writer.write(json.dumps([verb, *arguments]).encode() + b"\n")
            answer = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE))
        finally:
            writer.close()
            await writer.wait_closed()
        if "error" in answer:
            raise AssertionError(f"{verb} {arguments}: {answer['error']}")
        return answer["result"]

    async def start(self) -> None:
        await self._process.start()
        await until(lambda: (self.directory / "control").exists() or not self._process.running, PATIENCE, "Gajim runs")
        await eventually(lambda: self.ask("online"), PATIENCE, "Gajim is logged in")

    async def stop(self) -> None:
        await self._process.end()

    async def faults(self) -> list[str]:
        return [*lines_of(self._log, r"Traceback|\bERROR\b|\(E\)"), *await self.ask("faults")]

    async def list_commands(self) -> None:
        await self.ask("execute", COMPONENT)
        await self.reads("Execute")

    async def execute(self, node: str) -> None:
        assert await self.ask("choose", node), f"there is no {node} in {await self.command_text()}"
        await self._press("Execute")

    async def fill(self, values: Mapping[str, Value]) -> None:
        for label, value in values.items():
            await self.ask("fill", label, value)

    async def submit(self) -> None:
        await self._press("Complete")

    async def _press(self, label: str) -> None:
        await eventually(lambda: self.ask("press", COMMANDS, label), PATIENCE, f"{label} can be pressed")

    async def command_text(self) -> str:
        return str(await self.ask("text", COMMANDS))

    async def open_chat(self, jid: str) -> None:
        await self.ask("chat", jid)

    async def say(self, line: str) -> None:
        await self.ask("say", line)

    async def chat_text(self) -> str:
        return str(await self.ask("text", MAIN))

    async def roster(self) -> None:
        await self.ask("shut", COMMANDS)
        await self.ask("show_roster")

    async def shown(self, contact: str) -> str:
        return str(await self.ask("show", contact))

    async def picture(self, path: Path) -> None:
        """Of the commands' window, if it is open."""
        window = COMMANDS if await self.command_text() else MAIN
        painted = await self.ask("frames", window)

        async def again() -> bool:
            return bool(await self.ask("frames", window) >= painted + 5)

        await eventually(again, PATIENCE, "what has changed is painted")
        await self.ask("picture", window, str(path))
