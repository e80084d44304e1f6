"""What a person does with a client, the same whichever it is."""

import abc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from rig.server import Server
from rig.wait import eventually

PATIENCE = 15.0
"""Seconds: a browser on a busy machine."""

Value = str | bool | Sequence[str]
"""Of a form's field: the text that is typed or the option that is chosen, whether it is ticked, the lines or the options that are."""


def squeezed(text: str) -> str:
    """A text without white space: a client breaks lines where it likes."""
    return "".join(text.split())


class Client(abc.ABC):
    """A real client, logged in as a user of the server.

    Args:
        directory: for all that it keeps.
    """

    lists_nodes = False
    """A list of commands shows their nodes, not their names."""

    def __init__(self, server: Server, user: str, directory: Path) -> None:
        self.server = server
        self.user = user
        self.directory = directory

    @abc.abstractmethod
    async def start(self) -> None:
        """Log in; return when the roster is shown."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """End it."""

    @abc.abstractmethod
    async def faults(self) -> list[str]:
        """What went wrong inside it, by its own account."""

    @abc.abstractmethod
    async def list_commands(self) -> None:
        """Have it list Rapport's commands."""

    @abc.abstractmethod
    async def execute(self, node: str) -> None:
        """Choose a command from the list."""

    @abc.abstractmethod
    async def fill(self, values: Mapping[str, Value]) -> None:
        """Fill in a form: the beginning of a field's label, and its value."""

    @abc.abstractmethod
    async def submit(self) -> None:
        """Complete the command."""

    @abc.abstractmethod
    async def command_text(self) -> str:
        """What the command's view shows now."""

    @abc.abstractmethod
    async def open_chat(self, jid: str) -> None:
        """Open the chat with that address."""

    @abc.abstractmethod
    async def say(self, line: str) -> None:
        """Write in the open chat."""

    @abc.abstractmethod
    async def chat_text(self) -> str:
        """What the open chat shows now, its heading included."""

    @abc.abstractmethod
    async def roster(self) -> None:
        """Look at the roster."""

    @abc.abstractmethod
    async def shown(self, contact: str) -> str:
        """What the roster shows of a contact: online, chat, away, xa, dnd or offline."""

    async def picture(self, path: Path) -> None:
        """Keep what it shows now, as PNG."""
        raise NotImplementedError

    # -- waiting

    async def reads(self, *texts: str) -> str:
        """Wait until the command's view shows these texts; all that it shows then."""
        return await self._shows(self.command_text, texts)

    async def hears(self, *texts: str) -> str:
        """Wait until the open chat shows these texts; all that it shows then."""
        return await self._shows(self.chat_text, texts)

    async def sees(self, contact: str, show: str) -> None:
        """Wait until the roster shows that of a contact."""
        seen: list[str] = []

        async def so() -> bool:
            seen.append(await self.shown(contact))
            return seen[-1] == show

        try:
            await eventually(so, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"{self.user} sees {contact} {seen[-1]!r}, not {show!r}") from None

    async def _shows(self, look: Callable[[], Awaitable[str]], texts: Sequence[str]) -> str:
        seen: list[str] = []

        async def so() -> bool:
            seen.append(await look())
            return all(squeezed(text) in squeezed(seen[-1]) for text in texts)

        try:
            await eventually(so, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"{texts} is not all in what {self.user} sees:\n{seen[-1]}") from None
        return seen[-1]
