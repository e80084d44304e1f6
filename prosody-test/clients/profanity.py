"""Profanity (Debian's 0.13.1) in a terminal of its own (tmux)."""

import asyncio
import os
import re
from pathlib import Path

from rig.server import COMPONENT, PASSWORD, Server

from clients.client import Client, Value

# Wide enough for long lines, and high enough for the longest form.
COLUMNS, LINES = 160, 120


class Profanity(Client):
    """See `Client`."""

    def __init__(self, server: Server, user: str, directory: Path) -> None:
        super().__init__(server, user, directory)
        self._socket = str(directory / "tmux")

    async def start(self) -> None:
        await self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "profanity")
        await self._screen_shows("Type '/help' to show complete help")
        jid = f"{self.user}@{self.server.domain}"
        await self._type(f"/connect {jid} server 127.0.0.1 port {self.server.c2s_port} tls disable")
        await self._screen_shows("Enter password:")
        await self._type(PASSWORD)
        await self._screen_shows(f"{jid}", "logged in successfully")

    async def stop(self) -> None:
        await self._tmux("kill-server")

    async def faults(self) -> list[str]:
        return []

    async def _tmux(self, *words: str) -> str:
        home = str(self.directory)
        environment = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "-S",
            self._socket,
            *words,
            env={**os.environ, **environment},
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
        await self._type("/clear")
        await self._type(f"/cmd list {COMPONENT}")

    async def execute(self, node: str) -> None:
        await self._type("/clear")
        await self._type(f"/cmd exec {node} {COMPONENT}")

    async def fill(self, **values: Value) -> None:
        for name, value in values.items():
            number = re.search(rf"{name}", await self.screen())
            await self._type(f"/{number} {value}")

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
        await self._type("/roster")

    async def shown(self, contact: str) -> str:
        return await self.screen()
