"""Profanity (Debian's 0.13.1) in a terminal of its own (tmux)."""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rig.process import Process
from rig.server import COMPONENT, PASSWORD, Server
from rig.wait import until

from clients.client import PATIENCE, Client, Value

# Wide enough for long lines, and high enough for the longest form.
COLUMNS, LINES = 160, 120
PANEL = 118
"""The column from which on it shows the roster."""


class Profanity(Client):
    """See `Client`."""

    lists_nodes = True

    def __init__(self, server: Server, user: str, directory: Path) -> None:
        super().__init__(server, user, directory)
        home = str(directory)
        self._environment = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._tmux_command = ("tmux", "-S", str(directory / "tmux"), "-f", "/dev/null")
        self._terminal = Process((*self._tmux_command, "-D"), directory / "tmux.log", self._environment)

    async def start(self) -> None:
        await self._terminal.start()
        await until((self.directory / "tmux").exists, PATIENCE, "tmux runs")
        await self._tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "profanity")
        await self._screen_shows("Type '/help' to show complete help")
        jid = f"{self.user}@{self.server.domain}"
        await self._type(f"/connect {jid} server 127.0.0.1 port {self.server.c2s_port} tls disable")
        await self._screen_shows("Enter password:")
        await self._type(PASSWORD)
        await self._screen_shows(jid, "logged in successfully")

    async def stop(self) -> None:
        await self._terminal.end()

    async def faults(self) -> list[str]:
        return []

    async def _tmux(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._tmux_command,
            *words,
            env={**os.environ, **self._environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def screen(self) -> str:
        """All that the terminal shows."""
        return await self._tmux("capture-pane", "-p")

    async def _screen_shows(self, *texts: str) -> None:
        await self._shows(self.screen, texts)

    async def _type(self, line: str) -> None:
        await self._tmux("send-keys", "-l", line)
        await self._tmux("send-keys", "Enter")

    # -- commands

    async def list_commands(self) -> None:
        await self.roster()
        await self._type("/clear")
        await self._type(f"/cmd list {COMPONENT}")

    async def execute(self, node: str) -> None:
        await self._type(f"/cmd exec {node} {COMPONENT}")

    async def fill(self, values: Mapping[str, Value]) -> None:
        for label, value in values.items():
            screen = await self.screen()
            found = re.search(rf"\[(field\d+)\] {re.escape(label)}.*(?:\n.*- +\[val\d+\].*)*", screen)
            assert found, f"no field {label!r} in\n{screen}"
            for line in reversed(re.findall(r"\[(val\d+)\]", found[0])):
                await self._type(f"/{found[1]} remove {line}")
            for word in _words(value):
                await self._type(f"/{found[1]} {word}")

    async def submit(self) -> None:
        await self._type("/form submit")

    async def command_text(self) -> str:
        return await self.screen()

    # -- chat

    async def open_chat(self, jid: str) -> None:
        await self._type(f"/msg {jid}")

    async def say(self, line: str) -> None:
        await self._type(line)

    async def chat_text(self) -> str:
        return await self.screen()

    # -- roster

    async def roster(self) -> None:
        # Its first window has it at the right.
        await self._type("/win 1")

    async def shown(self, contact: str) -> str:
        name = next((item.name for item in self.server.hosts[0].users[self.user] if item.jid == contact and item.name), contact)
        show = ""
        for line in (await self.screen()).splitlines():
            # Numbers in brackets: contacts of a heading, unread messages of a contact.
            entry = re.sub(r" \(\d+\)$", "", line[PANEL:].strip())
            show = _SHOWS.get(entry, show)
            if entry == name:
                return show
        return ""


_SHOWS = {
    "Available for chat": "chat",
    "Online": "online",
    "Away": "away",
    "Extended Away": "xa",
    "Do not disturb": "dnd",
    "Offline": "offline",
}
"""The headings of its roster."""


def _words(value: Value) -> Sequence[str]:
    """What is written after /field1 …"""
    if isinstance(value, bool):
        return ["on" if value else "off"]
    return [f'"{value}"'] if isinstance(value, str) else [f'add "{each}"' for each in value]
