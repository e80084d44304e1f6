"""The usual scene of a story: a server with Rapport, and people with a session each."""

from collections.abc import Awaitable, Callable
from typing import Any

from rig import commands
from rig.rapport import Rapport
from rig.raw import RawClient, settled
from rig.server import Server


class Scene:
    """People at `localhost` and what they have open; the first session of a person is an attribute-like `scene["bob"]`."""

    def __init__(self, server: Server, rapport: Rapport, client: Callable[..., Awaitable[RawClient]]) -> None:
        self.server = server
        self.rapport = rapport
        self._client = client
        self._sessions: dict[str, RawClient] = {}

    def __getitem__(self, name: str) -> RawClient:
        return self._sessions[name]

    async def enter(self, *jids: str, show: str | None = None) -> RawClient:
        """Log these in (`alice/phone`: alice@localhost) and make them available; the last one's session."""
        for jid in jids:
            name, _, resource = jid.partition("/")
            session = await self._client(self.server, f"{name}@{self.server.domain}/{resource or 'phone'}", show=show)
            self._sessions[name] = session
        return session

    async def set_rules(self, name: str = "alice", **values: Any) -> commands.Answer:
        """Opt in (or change the settings) by the `presence` command, and let that take effect."""
        answer = await commands.run(self[name], "presence", {"enabled": True, **values})
        await self.settled(name)
        return answer

    async def always(self, who: str, outcome: str, duration: str = "", name: str = "alice") -> None:
        """By the `presence-always` command."""
        await commands.run(self[name], "presence-always", {"who": who, "outcome": outcome, "for": duration})
        await self.settled(name)

    async def settled(self, first: str = "alice") -> None:
        """A round trip of everybody, `first` first."""
        names = sorted((name for name in self._sessions if self[name].error is None), key=lambda name: name != first)
        await settled(*(self[name] for name in names))
