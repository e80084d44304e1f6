"""What the rig asks of a private XMPP server, whichever it is."""

import abc
import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PASSWORD = "pw"
COMPONENT = "rapport.localhost"
SECRET = "s3cret-of-the-rig"
# Never in a roster, never available: the account with which the rig itself asks questions.
OBSERVER = "rig-observer"


@dataclass(frozen=True)
class Contact:
    """One roster item, as it is written into the server's storage."""

    jid: str
    subscription: str = "both"
    name: str = ""
    groups: tuple[str, ...] = ()


Rosters = Mapping[str, Sequence[Contact]]


@dataclass(frozen=True)
class Host:
    """A virtual host with its accounts (user name -> roster); served: mod_rapport is loaded on it."""

    name: str = "localhost"
    users: Rosters = field(default_factory=dict)
    served: bool = True


def friends(*names: str, host: str = "localhost", groups: tuple[str, ...] = ()) -> dict[str, list[Contact]]:
    """Accounts of `host` of whom each has all the others in the roster, with subscription both."""
    return {name: [Contact(f"{other}@{host}", name=other.title(), groups=groups) for other in names if other != name] for name in names}


class Server(abc.ABC):
    """A private server on 127.0.0.1, with its data in a directory of its own that `discard` removes.

    Args:
        hosts: the virtual hosts; accounts and rosters are there when it starts.
        grace, buffer: the bounds of mod_rapport (seconds; stanzas).
        peers: other servers that it reaches by s2s: host name -> port on 127.0.0.1. None: no s2s at all.
        module: whether mod_rapport is loaded on the served hosts and on the component.
        admins: bare JIDs.
        others: domains of more components, with the same secret.
        without: what it has not got: "archive", "offline" (storage).
        muc: archived rooms at conference.localhost.
        rooms: mod_rapport taps these.
    """

    kind: str

    def __init__(
        self,
        hosts: Sequence[Host] = (Host(users=friends("alice", "bob", "carol")),),
        *,
        grace: int = 30,
        buffer: int = 10_000,
        peers: Mapping[str, int] | None = None,
        module: bool = True,
        admins: Sequence[str] = ("admin@localhost",),
        others: Sequence[str] = (),
        without: Sequence[str] = (),
        muc: bool = False,
        rooms: bool = False,
    ) -> None:
        self.hosts = tuple(hosts)
        self.grace = grace
        self.buffer = buffer
        self.peers = peers
        self.module = module
        self.admins = tuple(admins)
        self.others = tuple(others)
        self.without = tuple(without)
        self.muc = muc or rooms
        self.rooms = rooms
        self.component = COMPONENT
        self.secret = SECRET
        # Not pytest's tmp_path: a UNIX socket in it must have a path of less than 108 bytes.
        self.dir = Path(tempfile.mkdtemp(prefix="rapport-rig-"))
        self.c2s_port = 0
        self.component_port = 0
        self.s2s_port = 0
        self.http_port = 0

    @property
    def domain(self) -> str:
        """The first virtual host."""
        return self.hosts[0].name

    @property
    def served_hosts(self) -> list[str]:
        return [host.name for host in self.hosts if host.served]

    @abc.abstractmethod
    async def start(self) -> None:
        """Write the data on the first start; return when it accepts clients and components."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """End it politely and wait for that. Idempotent."""

    @abc.abstractmethod
    async def kill(self) -> None:
        """End it with SIGKILL."""

    async def restart(self) -> None:
        """Stop and start, with the data and the ports kept."""
        await self.stop()
        await self.start()

    @abc.abstractmethod
    def log_lines(self, pattern: str = "") -> list[str]:
        """The lines of its log in which the regular expression is found."""

    @abc.abstractmethod
    def faults(self) -> list[str]:
        """The lines of its log that no test may leave behind."""

    @abc.abstractmethod
    async def add_account(self, user: str, host: str | None = None) -> None:
        """While it runs, as an admin does."""

    @abc.abstractmethod
    async def delete_account(self, user: str, host: str | None = None) -> None:
        """While it runs, as an admin does."""

    @abc.abstractmethod
    async def set_contact(self, user: str, contact: Contact, host: str | None = None) -> None:
        """Add or change a roster item while it runs, as an admin's tool does (not a client)."""

    @abc.abstractmethod
    async def remove_contact(self, user: str, jid: str, host: str | None = None) -> None:
        """Remove a roster item while it runs, as an admin's tool does (not a client)."""

    @abc.abstractmethod
    async def load_module(self) -> None:
        """Load mod_rapport on all served hosts and the component while it runs."""

    @abc.abstractmethod
    async def unload_module(self) -> None:
        """Unload it there while it runs."""

    @abc.abstractmethod
    async def reload_module(self) -> None:
        """Replace its code while it runs (a hot upgrade)."""

    async def discard(self) -> None:
        """Stop it and remove its directory."""
        try:
            await self.stop()
        finally:
            await asyncio.to_thread(shutil.rmtree, self.dir, ignore_errors=True)
