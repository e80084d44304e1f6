"""Virtual users' names in customers' clients (spec/20-virtual.md, Names and status).

Gajim 1.7.3 has a contact's name from its roster or from a nick event, Converse.js from the vCard. As with PEP (XEP-0163, 4.3.3), only a
client that asks for nick events, in its disco#info, gets one: once for each name.
"""

import asyncio
from collections import OrderedDict

from component.ports import IqError, LinkDown, Server
from component.virtual.team import Team
from stanzas.build import element, iq, message
from stanzas.namespaces import DISCO_INFO, NICK, qualified
from stanzas.vcards import Card, nick_event

KEPT = 20_000
"""Clients that are remembered; past that the one seen first is forgotten, and told again."""
_WANTED = f"{NICK}+notify"
_UNWANTED = ""


class Names:
    def __init__(self, domain: str, server: Server) -> None:
        self._domain, self._server = domain, server
        self._told: OrderedDict[tuple[str, str], str] = OrderedDict()
        """Node and full JID → the name that this client has."""
        self._asking: set[asyncio.Task[None]] = set()

    def seen(self, team: Team, client: str) -> None:
        """This client (a full JID) has to do with the virtual user, and is to know its name."""
        key = (team.node, client)
        if key in self._told or "/" not in client:
            return
        self._told[key] = _UNWANTED
        if len(self._told) > KEPT:
            self._told.popitem(last=False)
        task = asyncio.create_task(self._ask(team, client))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def renamed(self, team: Team) -> None:
        """Tell the clients that have another name."""
        for (node, client), name in self._told.items():
            if node == team.node and name not in (_UNWANTED, team.settings.name):
                self._tell(team, client)

    def stop(self) -> None:
        """Wait for no more answers."""
        for task in self._asking:
            task.cancel()

    async def drain(self) -> None:
        while self._asking:
            await asyncio.wait(set(self._asking))

    async def _ask(self, team: Team, client: str) -> None:
        try:
            info = await self._server.ask(iq("get", self._user(team), client, element(DISCO_INFO, "query")))
        except IqError:
            return
        except (LinkDown, TimeoutError):
            self._told.pop((team.node, client), None)  # to be asked again
            return
        if any(feature.get("var") == _WANTED for feature in info.iter(qualified(DISCO_INFO, "feature"))):
            self._tell(team, client)

    def _tell(self, team: Team, client: str) -> None:
        name = team.settings.name
        self._told[team.node, client] = name
        self._server.send(message(self._user(team), client, None, nick_event(Card(nickname=name)), kind="headline"))

    def _user(self, team: Team) -> str:
        return f"{team.node}@{self._domain}"
