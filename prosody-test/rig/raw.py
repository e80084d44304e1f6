"""A client by hand: stream, SASL PLAIN without TLS, bind; one socket each."""

import base64
from collections.abc import Iterable, Mapping

from rig import xml
from rig.server import PASSWORD, Server
from rig.stream import Stream, StreamError, new_id
from rig.xml import Element


class RawClient(Stream):
    """A session of a user. It answers roster pushes, and all other requests with service-unavailable."""

    namespace = "jabber:client"

    def __init__(self, server: Server) -> None:
        super().__init__(server.c2s_port)
        self._server = server
        self.jid = ""
        """The full JID that the server bound."""

    @property
    def bare(self) -> str:
        return xml.bare(self.jid)

    async def connect(self, jid: str, password: str = PASSWORD) -> "RawClient":
        """Log in and bind; the session is not available until `presence()`.

        Args:
            jid: with a resource; without one the server chooses.

        Raises:
            StreamError: refused; the text is the SASL or stream condition.
        """
        async with self._negotiation():
            await self._log_in(jid, password)
        return self

    async def _authenticate(self, jid: str, password: str) -> Element:
        """The features after it."""
        user, _, domain = xml.bare(jid).rpartition("@")
        await self._dial()
        await self._open(domain)
        await self._next()
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        await self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>")
        answer = await self._next()
        if xml.name(answer) != "success":
            raise StreamError(xml.name(answer[0]) if len(answer) else xml.name(answer))
        await self._open(domain)
        features = await self._next()
        self._listen()
        return features

    async def _log_in(self, jid: str, password: str) -> None:
        features = await self._authenticate(jid, password)
        wish = f"<resource>{xml.escape(xml.resource(jid))}</resource>" if xml.resource(jid) else ""
        bound = await self.iq("set", f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{wish}</bind>")
        result = xml.child(bound, "bind")
        self.jid = (xml.text(result, "jid") if result is not None else None) or ""
        if not self.jid:
            raise StreamError(xml.condition(bound) or "no resource bound")
        session = xml.child(features, "session")
        if session is not None and xml.child(session, "optional") is None:
            await self.iq("set", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")

    async def resumable(self) -> str:
        """Enable XEP-0198 with resumption; the id to resume the session by."""
        await self.send(f"<enable xmlns='{xml.STREAM_MANAGEMENT}' resume='true'/>")
        return (await self.expect(lambda each: xml.name(each) == "enabled")).get("id", "")

    async def resume(self, jid: str, previous: str, h: int = 0, password: str = PASSWORD) -> "RawClient":
        """Take over a session of which the connection is gone (XEP-0198, 5).

        Args:
            previous: what `resumable` gave.
            h: how many stanzas it has received since.

        Raises:
            StreamError: refused.
        """
        async with self._negotiation():
            await self._authenticate(jid, password)
            await self.send(f"<resume xmlns='{xml.STREAM_MANAGEMENT}' h='{h}' previd={xml.quoteattr(previous)}/>")
            answer = await self.expect(lambda each: xml.name(each) in ("resumed", "failed"))
            if xml.name(answer) == "failed":
                raise StreamError("failed")
        self.jid = jid
        return self

    async def login(self, jid: str, password: str = PASSWORD, show: str | None = None) -> "RawClient":
        """As most clients do: connect, ask for the roster, become available, and wait for the server to have seen it."""
        await self.connect(jid, password)
        await self.iq("get", f"<query xmlns='{xml.ROSTER}'/>")
        await self.presence(show)
        await self.iq("get", f"<ping xmlns='{xml.PING}'/>")
        return self

    def _asked(self, iq: Element) -> None:
        head = f"<iq id={xml.quoteattr(iq.get('id', ''))}" + (f" to={xml.quoteattr(iq.get('from', ''))}" if iq.get("from") else "")
        if iq.get("type") == "set" and xml.child(iq, "query", xml.ROSTER) is not None:
            self._write(f"{head} type='result'/>")
        else:
            self._write(f"{head} type='error'><error type='cancel'><service-unavailable xmlns='{xml.STANZAS}'/></error></iq>")

    # -- sending

    async def presence(self, show: str | None = None, status: str | None = None, extra: str = "", **attributes: str | None) -> None:
        """Send a presence.

        Args:
            show: None or 'online' for no `<show/>`.
            extra: more children, as XML.
            attributes: of the stanza: `type`, `to`, `id` …
        """
        inner = f"<show>{show}</show>" if show and show != "online" else ""
        if status is not None:
            inner += f"<status>{xml.escape(status)}</status>"
        await self.send(f"<presence{_attributes(attributes)}>{inner}{extra}</presence>")

    async def message(self, to: str, body: str | None = None, extra: str = "", **attributes: str | None) -> str:
        """Send a message; its id ('' if it has none).

        Args:
            body: None for no `<body/>`.
            extra: more children, as XML.
            attributes: of the stanza; `id` is a new one and `type` chat unless given, None leaves them out.
        """
        attributes = {"type": "chat", "id": new_id(), **attributes}
        inner = f"<body>{xml.escape(body)}</body>" if body is not None else ""
        await self.send(f"<message to={xml.quoteattr(to)}{_attributes(attributes)}>{inner}{extra}</message>")
        return attributes["id"] or ""

    async def displayed(self, to: str, message: str, extra: str = "") -> None:
        """Send a displayed marker (XEP-0333) for the message with this id."""
        await self.message(to, extra=f"<displayed xmlns='{xml.MARKERS}' id={xml.quoteattr(message)}/>{extra}")

    async def carbons(self) -> None:
        """Enable XEP-0280 carbons."""
        answer = await self.iq("set", f"<enable xmlns='{xml.CARBONS}'/>")
        assert answer.get("type") == "result", xml.dump(answer)

    async def roster_set(self, jid: str, name: str = "", groups: Iterable[str] = (), subscription: str = "") -> None:
        """Add, change or (subscription='remove') remove a roster item."""
        attributes = f" subscription={xml.quoteattr(subscription)}" if subscription else ""
        attributes += f" name={xml.quoteattr(name)}" if name else ""
        inner = "".join(f"<group>{xml.escape(group)}</group>" for group in groups)
        answer = await self.iq("set", f"<query xmlns='{xml.ROSTER}'><item jid={xml.quoteattr(jid)}{attributes}>{inner}</item></query>")
        assert answer.get("type") == "result", xml.dump(answer)

    async def block(self, *jids: str) -> None:
        """XEP-0191."""
        items = "".join(f"<item jid={xml.quoteattr(jid)}/>" for jid in jids)
        answer = await self.iq("set", f"<block xmlns='urn:xmpp:blocking'>{items}</block>")
        assert answer.get("type") == "result", xml.dump(answer)

    async def unblock(self, *jids: str) -> None:
        """XEP-0191; without arguments: all."""
        items = "".join(f"<item jid={xml.quoteattr(jid)}/>" for jid in jids)
        answer = await self.iq("set", f"<unblock xmlns='urn:xmpp:blocking'>{items}</unblock>")
        assert answer.get("type") == "result", xml.dump(answer)

    async def ping(self, to: str | None = None, within: float = 5.0) -> Element:
        """The answer (a result, or an error: that is an answer too)."""
        return await self.iq("get", f"<ping xmlns='{xml.PING}'/>", to, within=within)

    async def settled(self) -> None:
        """A round trip to the own server, then one to the component, then one to the own server again."""
        await self.ping()
        await self.ping(self._server.component)
        await self.ping()

    # -- what this client saw

    def presences(self, of: str, since: int = 0) -> list[Element]:
        """Every available or unavailable presence of a bare JID's resources, in order.

        Without the unavailable one from the bare JID itself: Prosody answers so to a probe of somebody without a session.
        """
        return [
            each
            for each in self.received[since:]
            if xml.sender(each) == xml.bare(of)
            and xml.show(each) is not None
            and (xml.resource(each.get("from", "")) or xml.show(each) != "offline")
        ]

    def saw(self, of: str, since: int = 0) -> list[str]:
        """The shows of these presences, in order ('offline' for unavailable)."""
        return [xml.show(each) or "" for each in self.presences(of, since)]

    def shows(self, of: str) -> dict[str, str]:
        """Each available resource of a bare JID, with its show as this client saw it last."""
        seen: dict[str, str] = {}
        for each in self.presences(of):
            show = xml.show(each)
            if show == "offline" or show is None:
                seen.pop(xml.resource(each.get("from", "")), None)
            else:
                seen[xml.resource(each.get("from", ""))] = show
        return seen

    async def sees(self, of: str, show: str, within: float = 5.0) -> None:
        """Wait until every available resource of `of` shows `show` ('offline': until none is available)."""
        wanted = [] if show == "offline" else [show]
        await self.until(lambda: sorted(set(self.shows(of).values())) == wanted, within, f"{self.jid} sees {of} as {show}")

    def bodies(self, of: str, since: int = 0) -> list[str]:
        """The bodies of the messages (not errors) from a bare JID, in order."""
        return [
            text
            for each in self.received[since:]
            if xml.name(each) == "message" and each.get("type") != "error" and xml.sender(each) == xml.bare(of)
            if (text := xml.body(each)) is not None
        ]


async def settled(*clients: RawClient) -> None:
    """A round trip of each, in this order: senders first, then those who should have received."""
    for each in clients:
        await each.settled()


def _attributes(attributes: Mapping[str, str | None]) -> str:
    return "".join(f" {key}={xml.quoteattr(value)}" for key, value in attributes.items() if value is not None)
