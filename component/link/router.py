"""Who answers which stanza. Every one that the server sends comes through `take`."""

import logging
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element, fromstring

from component.commands.model import Refused
from component.delivery import Delivery, Stopping
from component.lanes import Lanes
from component.ledger.engine import DatabaseClosed
from component.ledger.mark import Handed
from component.ledger.queue import Queue
from component.link.forgeries import Forgeries
from component.link.server import Link
from component.ports import Handler, LinkDown, Queued, StanzaError
from component.rules.addresses import Address
from stanzas import link
from stanzas.build import error_reply, may_be_answered, result_reply
from stanzas.jid import bare, split
from stanzas.namespaces import COMPONENT, qualified
from stanzas.serialise import serialise

log = logging.getLogger(__name__)

_MESSAGE, _PRESENCE, _IQ = (qualified(COMPONENT, name) for name in ("message", "presence", "iq"))
_PRETENDED = ("{urn:xmpp:forward:0}", "{urn:xmpp:privilege:", "{urn:x-rapport:link:")
"""Payload that only a served host may send us."""
_MESSAGE_TYPES = ("chat", "error", "groupchat", "headline")
_SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")


class Router:
    """Takes stanzas from the stream, in order; messages and subscriptions are stored before anybody acts on them."""

    def __init__(
        self,
        jid: str,
        server: Link,
        queue: Queue,
        delivery: Delivery,
        parse: Callable[[str], Address | None],
        handlers: Mapping[type, Handler],
        now: Callable[[], float],
    ) -> None:
        self._jid = jid
        self._server = server
        self._queue = queue
        self._delivery = delivery
        self._parse = parse
        self._handlers = handlers
        self._now = now
        self.forgeries = Forgeries(now)
        self._lanes = Lanes("stanza")
        self._stopped = False

    async def resume(self) -> None:
        """Deal with what was stored and not yet dealt with when Rapport stopped."""
        for item in await self._queue.all():
            self._deal(fromstring(item.payload), item.id, item.at)  # noqa: S314 - our own serialisation

    def stop(self) -> None:
        """Take nothing new: Rapport ends. What the module counts it hands over again; whatever else asks is told."""
        self._stopped = True

    async def drain(self) -> None:
        await self._lanes.drain()

    def take(self, stanza: Element) -> None:
        sender = stanza.get("from", "")
        if sender == self._jid:
            if stanza.tag == _IQ and stanza.get("type") == "get":
                self._server.came_back(stanza.get("id", ""))
            return
        if stanza.tag == _IQ and stanza.get("type") in ("result", "error"):
            self._server.answered(stanza)
        elif sender in self._server.served_hosts and stanza.tag == _MESSAGE:
            if not self._stopped:
                self._from_host(sender, stanza)
        elif any(child.tag.startswith(_PRETENDED) and not self._is_handed(child) for child in stanza):
            self.forgeries.seen(bare(sender))
        elif self._stopped:
            if stanza.find(link.HANDED) is None:
                self._refuse(stanza, StanzaError("recipient-unavailable"))
        elif stanza.tag == _IQ:
            self._lanes.put(f"iq {sender} {stanza.get('id')}", lambda: self._answer(stanza))
        elif stanza.tag in (_MESSAGE, _PRESENCE):
            self._message_or_presence(stanza)

    def _is_handed(self, child: Element) -> bool:
        """The module's own mark: it strips any that a sender put in, so that one can be believed while there is a module."""
        return child.tag == link.HANDED and bool(self._server.modules)

    def _from_host(self, host: str, stanza: Element) -> None:
        element = link.link_element(stanza)
        if stanza.get("type") == "error":
            if stanza.get("id") == f"hello-{host}":
                self._server.no_module(host)
        elif element is not None and stanza.get("to") == self._jid:
            self._server.take_notice(host, element)

    def _message_or_presence(self, stanza: Element) -> None:
        kind = stanza.get("type", "available")
        if stanza.tag == _MESSAGE and kind not in _MESSAGE_TYPES:
            kind = "normal"  # RFC 6121, 5.2.2: also where a relay writes it on
            if "type" in stanza.attrib:
                stanza.set("type", kind)
        if kind == "groupchat":
            self._refuse(stanza, StanzaError("service-unavailable"))
        elif kind not in ("chat", "normal", *_SUBSCRIPTIONS):
            self._lanes.put(_lane(stanza), lambda: self._pass(stanza))
        elif (n := _number(stanza)) is None:
            self._lanes.put(_lane(stanza), lambda: self._store(stanza, None))
        else:
            stanza.remove(stanza.find(link.HANDED))  # type: ignore[arg-type]  # it is there: _number read it
            self._server.handover.take(n, lambda handed: self._store(stanza, handed))

    async def _store(self, stanza: Element, handed: Handed | None) -> None:
        at = self._now()
        stored = await self._queue.put(_lane(stanza), serialise(stanza, "").encode(), at, handed)
        if stored is not None:
            self._deal(stanza, stored, at)

    def _deal(self, stanza: Element, stored: int, at: float) -> None:
        async def work() -> None:
            if await self._handled(stanza, Queued(stored, stanza, at)):
                await self._queue.remove([stored])

        self._lanes.put(_lane(stanza), work)

    async def _handled(self, stanza: Element, queued: Queued) -> bool:
        """Whether the stanza is dealt with. A sender's mistake, and a fault of ours, is answered, and deals with it."""
        try:
            address, handler = self._find(stanza)
            if stanza.tag == _MESSAGE:
                return await handler.message(address, queued)
            await handler.presence(address, stanza)
        except (StanzaError, Refused, LinkDown) as error:
            return await self._refused(stanza, queued, error)
        except (Stopping, DatabaseClosed):
            return False
        except Exception:  # the boundary: kept, it would come to the same end after each start
            log.exception("router.fault sender=%s", stanza.get("from"))
            return await self._refused(stanza, queued, StanzaError("internal-server-error"))
        return True

    async def _refused(self, stanza: Element, queued: Queued, error: Exception) -> bool:
        """Whether the server has the refusal; False: Rapport ends before."""
        if (refusal := _refusal(stanza, error)) is not None:
            try:
                await self._delivery.deliver(refusal, queued.once("refused"))
            except Stopping:
                return False
        return True

    async def _pass(self, stanza: Element) -> None:
        """What is neither stored nor answered: errors, headlines, availability."""
        try:
            address, handler = self._find(stanza)
            if stanza.tag == _MESSAGE:
                await handler.other_message(address, stanza)
            else:
                await handler.presence(address, stanza)
        except (StanzaError, Refused, LinkDown) as error:
            log.debug("router.passed sender=%s error=%s", stanza.get("from"), error)

    async def _answer(self, iq: Element) -> None:
        """An IQ get or set is answered, always and once (spec/00-overview.md, What Rapport sends)."""
        try:
            payload = await self._ask_handler(iq)
        except (StanzaError, Refused, LinkDown) as error:
            self._refuse(iq, error)
            return
        except Exception:
            self._refuse(iq, StanzaError("internal-server-error"))
            raise
        reply = result_reply(iq, *(() if payload is None else (payload,)))
        if not self._server.send(reply):
            self._refuse(iq, StanzaError("resource-constraint"))

    async def _ask_handler(self, iq: Element) -> Element | None:
        if iq.get("type") not in ("get", "set") or len(iq) != 1:
            raise StanzaError("bad-request")
        address, handler = self._find(iq)
        answer = handler.iqs.get((iq.get("type", ""), iq[0].tag))
        if answer is None:
            raise StanzaError("service-unavailable")
        return await answer(iq, address)

    def _find(self, stanza: Element) -> tuple[Address, Handler]:
        """Raises StanzaError: nobody is at this address."""
        address = self._parse(split(stanza.get("to", ""))[0])
        handler = self._handlers.get(type(address))
        if address is None or handler is None:
            raise StanzaError("item-not-found")
        return address, handler

    def _refuse(self, stanza: Element, error: Exception) -> None:
        """Refuse what is not kept: nobody waits for the answer when the stream is down."""
        if (refusal := _refusal(stanza, error)) is not None:
            self._server.send(refusal)


def _refusal(stanza: Element, error: Exception) -> Element | None:
    """The one place where a refusal becomes a stanza. None: an error, a result or a presence, which are not answered."""
    if stanza.tag == _PRESENCE or not may_be_answered(stanza):
        return None
    match error:
        case StanzaError():
            return error_reply(stanza, error.condition, error.kind, error.text or None, error.app)
        case Refused():
            return error_reply(stanza, "forbidden")
        case _:
            return error_reply(stanza, "recipient-unavailable")


def _lane(stanza: Element) -> str:
    """Messages of one sender to one address keep their order."""
    return f"{bare(stanza.get('from', ''))} {bare(stanza.get('to', ''))}"


def _number(stanza: Element) -> int | None:
    try:
        return link.handed(stanza)
    except ValueError as error:
        log.error("link.malformed sender=%s error=%s", stanza.get("from"), error)
        return None
