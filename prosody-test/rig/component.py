"""An XEP-0114 component by hand, which can speak the link (docs/link.md) too."""

import hashlib
import re
from collections.abc import Callable, Iterable

from rig import xml
from rig.server import Server
from rig.stream import Stream
from rig.xml import Element


class RawComponent(Stream):
    """A component of a private server. It answers no request by itself, but pings."""

    namespace = "jabber:component:accept"

    def __init__(self, server: Server, domain: str | None = None) -> None:
        super().__init__(server.component_port)
        self._server = server
        self.domain = domain or server.component

    async def connect(self, secret: str | None = None) -> "RawComponent":
        """Open the stream and shake hands.

        Args:
            secret: the server's by default.

        Raises:
            StreamError: refused; the text is the condition (`conflict`, `not-authorized` …).
        """
        async with self._negotiation():
            await self._dial()
            root = await self._open(self.domain)
            if self.error is None:
                digest = hashlib.sha1((root.get("id", "") + (secret or self._server.secret)).encode()).hexdigest()
                await self.send(f"<handshake>{digest}</handshake>")
            answer = await self._next()
            while xml.name(answer) != "handshake":
                answer = await self._next()
            self._listen()
        return self

    def _asked(self, iq: Element) -> None:
        if xml.child(iq, "ping", xml.PING) is not None:
            addresses = f"to={xml.quoteattr(iq.get('from', ''))} from={xml.quoteattr(iq.get('to', ''))}"
            self._write(f"<iq type='result' id={xml.quoteattr(iq.get('id', ''))} {addresses}/>")

    async def settled(self) -> None:
        """A round trip to the first served host (disco: Prosody and ejabberd answer it to anybody)."""
        await self.iq("get", f"<query xmlns='{xml.DISCO_INFO}'/>", self._server.domain, self.domain)

    # -- the link

    async def link(self, payload: str, host: str | None = None) -> None:
        """Send a notice: `payload` without its namespace, e.g. `<ready/>`, to a served host (default: the first)."""
        to = xml.quoteattr(host or self._server.domain)
        await self.send(f"<message from={xml.quoteattr(self.domain)} to={to}>{link_element(payload)}</message>")

    async def hello(self, host: str | None = None, epoch: str | None = None, h: int | None = None) -> Element:
        """Say hello; the module's `<hello/>` or `<refused/>`."""
        known = f" epoch={xml.quoteattr(epoch)}" if epoch is not None else ""
        known += f" h='{h}'" if h is not None else ""
        await self.link(f"<hello version='0'{known}/>", host)
        return await self.expect_notice("hello", "refused", host=host)

    async def gate(self, users: Iterable[str], on: bool = True, host: str | None = None) -> None:
        names = "".join(f"<user name={xml.quoteattr(user)}/>" for user in users)
        await self.link(f"<gate on='{int(on)}'>{names}</gate>", host)

    async def ready(self, host: str | None = None) -> list[Element]:
        """Say ready; the `<session/>` elements that the module named before its own ready."""
        start = self.mark()
        await self.link("<ready/>", host)
        await self.expect_notice("ready", host=host)
        return [each for each in self.notices("session", start) if each.get("jid")]

    async def start(self, *gated: str, host: str | None = None) -> Element:
        """Hello, gate, ready; the module's hello."""
        hello = await self.hello(host)
        await self.gate(gated, host=host)
        await self.ready(host)
        return hello

    async def ack(self, h: int, host: str | None = None) -> None:
        await self.link(f"<ack h='{h}'/>", host)

    async def show(self, jid: str, v: int | str, as_: str, key: str, to: Iterable[str], inner: str = "", host: str | None = None) -> None:
        """Show the session `jid` to these contacts `as_` …; `inner`: `<status/>` children, as XML."""
        contacts = "".join(f"<to jid={xml.quoteattr(contact)}/>" for contact in to)
        await self.link(f"<show jid={xml.quoteattr(jid)} v='{v}' as='{as_}' key={xml.quoteattr(key)}>{inner}{contacts}</show>", host)

    async def request(self, payload: str, host: str | None = None, within: float = 5.0) -> Element:
        """Ask a link request (`<roster user='alice'/>` …); the answer, result or error."""
        return await self.iq("get", link_element(payload), host or self._server.domain, self.domain, within=within)

    async def changed(self, user: str, what: str) -> None:
        """Wait for the counted notice that the user's `roster`, `blocks` or `account` changed."""
        notice = await self.expect_notice("changed", where=lambda each: (each.get("user"), each.get("what")) == (user, what))
        assert int(notice.get("n", "0")) > 0

    def notices(self, wanted: str = "", since: int = 0) -> list[Element]:
        """The link elements of notices (all, or of one name) received from a served host, in order."""
        hosts = self._server.served_hosts
        return [
            notice
            for each in self.received[since:]
            if each.get("from") in hosts and (notice := notice_of(each)) is not None and wanted in ("", xml.name(notice))
        ]

    async def expect_notice(
        self,
        *wanted: str,
        where: Callable[[Element], object] = lambda notice: True,
        host: str | None = None,
        within: float = 5.0,
    ) -> Element:
        """The link element of the next notice with one of these names for which `where` holds."""

        def matches(stanza: Element) -> bool:
            notice = notice_of(stanza)
            if notice is None or xml.name(notice) not in wanted or not where(notice):
                return False
            return host is None or stanza.get("from") == host

        found = notice_of(await self.expect(matches, within, f"the notice {'/'.join(wanted)}"))
        assert found is not None
        return found


def notice_of(stanza: Element) -> Element | None:
    """The link element of a notice; None for any other stanza, errors too."""
    if xml.name(stanza) != "message" or stanza.get("type") == "error":
        return None
    return next((each for each in stanza if xml.namespace(each) == xml.LINK), None)


def handed(stanza: Element) -> int | None:
    """The number under which the module handed a stanza over; None: it is not counted."""
    mark = xml.child(stanza, "handed", xml.LINK)
    return None if mark is None else int(mark.get("n", ""))


def shown(session: Element) -> dict[str, set[str]]:
    """Who has seen what of a `<session/>`: key → contacts."""
    return {each.get("key", ""): {to.get("jid", "") for to in each} for each in xml.children(session, "shown")}


def link_element(payload: str) -> str:
    """The element `payload` (XML) with the link's namespace put into its first tag."""
    return re.sub(r"^<[\w-]+", lambda tag: f"{tag[0]} xmlns='{xml.LINK}'", payload)
