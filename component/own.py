"""Rapport's own addresses, the component's domain and `rapport@` it: disco, commands by form and by chat, version, presence."""

import platform
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from xml.etree.ElementTree import Element

from component.commands.adhoc import Adhoc
from component.commands.chat import Chat, command_line
from component.commands.model import Asker
from component.delivery import Delivery
from component.ports import IqAnswer, Queued, Server
from component.rules.addresses import Address
from stanzas.build import element, message, presence
from stanzas.jid import bare, split
from stanzas.namespaces import ADHOC, DISCO_INFO, DISCO_ITEMS, PING, VERSION, qualified

Items = Callable[[], Awaitable[Sequence[tuple[str, str]]]]
"""What disco#items of the domain lists: (JID, name)."""
FEATURES = (ADHOC, DISCO_INFO, DISCO_ITEMS, VERSION, PING)


class Own:
    """The handler (ports.Handler) of Rapport's own addresses."""

    def __init__(
        self, jid: str, server: Server, delivery: Delivery, adhoc: Adhoc, chat: Chat, who: Callable[[str], Asker], items: Items
    ) -> None:
        self._jid, self._server, self._delivery = jid, server, delivery
        self._adhoc, self._chat, self._who, self._items = adhoc, chat, who, items
        self.iqs: dict[tuple[str, str], IqAnswer] = {
            ("get", qualified(DISCO_INFO, "query")): self._disco_info,
            ("get", qualified(DISCO_ITEMS, "query")): self._disco_items,
            ("set", qualified(ADHOC, "command")): self._command,
            ("get", qualified(PING, "ping")): self._ping,
            ("get", qualified(VERSION, "query")): self._version,
        }

    async def message(self, _address: Address, queued: Queued) -> bool:
        """A chat command."""
        stanza = queued.stanza
        line = command_line(stanza)
        if line is not None:
            answer = await self._chat.answer(self._who(stanza.get("from", "")), line)
            reply = message(bare(stanza.get("to", "")), stanza.get("from", ""), answer)
            await self._delivery.deliver(reply, queued.once("answer"))
        return True

    async def other_message(self, _address: Address, _stanza: Element) -> None:
        """Errors and headlines say nothing to Rapport."""

    async def presence(self, _address: Address, stanza: Element) -> None:
        """Rapport can stand in a roster: it is always there, and wants nobody's presence in return."""
        asked, sender = bare(stanza.get("to", "")), bare(stanza.get("from", ""))
        # Gajim shows what comes from a bare JID as offline; a domain has no resource.
        resource = f"{asked}/rapport" if split(asked)[0] else asked
        match stanza.get("type"):
            case "subscribe":
                self._server.send(presence(asked, sender, kind="subscribed"))
                self._server.send(presence(resource, sender))
            case "probe":
                self._server.send(presence(resource, sender))
            case "unsubscribe":
                self._server.send(presence(resource, sender, kind="unavailable"))
                self._server.send(presence(asked, sender, kind="unsubscribed"))

    async def _disco_info(self, iq: Element, _address: Address) -> Element:
        node = iq[0].get("node")
        if node:
            return await self._adhoc.info(self._who(iq.get("from", "")), node)
        query = element(DISCO_INFO, "query")
        query.append(element(DISCO_INFO, "identity", {"category": "component", "type": "generic", "name": "Rapport"}))
        query.extend(element(DISCO_INFO, "feature", {"var": feature}) for feature in FEATURES)
        return query

    async def _disco_items(self, iq: Element, _address: Address) -> Element:
        if iq[0].get("node") == ADHOC:
            return await self._adhoc.items(self._who(iq.get("from", "")), iq.get("to", ""))
        query = element(DISCO_ITEMS, "query", {"node": iq[0].get("node")})
        if not iq[0].get("node") and iq.get("to") == self._jid:
            query.extend(element(DISCO_ITEMS, "item", {"jid": jid, "name": name}) for jid, name in await self._items())
        return query

    async def _command(self, iq: Element, _address: Address) -> Element:
        return await self._adhoc.handle(self._who(iq.get("from", "")), iq)

    async def _ping(self, _iq: Element, _address: Address) -> None:
        return None

    async def _version(self, _iq: Element, _address: Address) -> Element:
        return version_query()


def version_query() -> Element:
    """The answer to XEP-0092, the same at every address."""
    query = element(VERSION, "query")
    query.append(element(VERSION, "name", text="Rapport"))
    query.append(element(VERSION, "version", text=version("rapport")))
    query.append(element(VERSION, "os", text=platform.system()))
    return query
