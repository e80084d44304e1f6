"""The one stream to the server: XEP-0114 with reconnection (spec/00-overview.md, What Rapport gets from the server, 1)."""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from xml.etree.ElementTree import Element

from slixmpp.componentxmpp import ComponentXMPP

from stanzas.namespaces import COMPONENT, PING, STREAM, STREAM_ERRORS
from stanzas.serialise import serialise
from stanzas.text import clean

log = logging.getLogger(__name__)

IDLE = 8.0
"""Seconds without a byte from the server after which it is asked for one."""
DEAD = 24.0
"""Seconds without a byte after which the stream counts as half-open and is cut: under 30 (spec/00-overview.md)."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
LARGEST = 500_000
"""Bytes. Prosody's limit for a component's stanza is 512 KiB; past it the stream ends."""
BACKLOG = 64 * 1024 * 1024
"""Bytes waiting for a server that does not read; past it the stream is cut (what must not be lost is kept elsewhere)."""


class _Connection(ComponentXMPP):
    """One TCP connection. slixmpp parses; each stanza is handed on as an element, before slixmpp's own dispatch (ARCHITECTURE.md)."""

    def __init__(self, stream: "Stream", jid: str, secret: str) -> None:
        super().__init__(jid, secret)  # type: ignore[no-untyped-call]  # slixmpp's constructor
        self._stream = stream
        self.down = asyncio.get_running_loop().create_future()
        self.why = ""

    def start_stream_handler(self, xml: Element) -> None:
        digest = hashlib.sha1(f"{xml.get('id', '')}{self.secret}".encode()).hexdigest()  # noqa: S324 - XEP-0114, 3
        self.send_raw(f"<handshake>{digest}</handshake>")

    def data_received(self, data: bytes | str) -> None:
        self._stream.heard = time.monotonic()
        super().data_received(data)

    def _spawn_event(self, xml: Element) -> None:
        if xml.tag == f"{{{STREAM}}}error":
            self.why = _stream_error(xml)
        elif xml.tag == f"{{{COMPONENT}}}handshake":
            self._stream.authenticated(self)
        else:
            self._stream.take(xml)

    def connection_lost(self, exception: BaseException | None) -> None:
        super().connection_lost(exception)
        if not self.down.done():
            self.down.set_result(self.why or (str(exception) if exception else "closed by the server"))


def _stream_error(xml: Element) -> str:
    """`conflict: Component already connected`: the condition and its text."""
    condition, text = "undefined-condition", ""
    for child in xml:
        name = child.tag.rpartition("}")[2]
        if child.tag == f"{{{STREAM_ERRORS}}}text":
            text = child.text or ""
        elif child.tag.startswith(f"{{{STREAM_ERRORS}}}"):
            condition = name
    return f"{condition}: {text}" if text else condition


class Stream:
    """Connects, stays connected, writes in bursts. `on_stanza` gets every stanza as an element, in order."""

    def __init__(self, jid: str, secret: str, host: str, port: int) -> None:
        self.jid = jid
        self.heard = 0.0
        """When the server last sent anything, on the monotonic clock."""
        self.up = False
        self.why_down = "not connected yet"
        self._said_why = False
        self._told_down = ""
        self._secret, self._host, self._port = secret, host, port
        self.take: Callable[[Element], None]
        self._on_up: Callable[[], None]
        self._connection: _Connection | None = None
        self._outgoing: list[bytes] = []
        self._closing = asyncio.Event()
        self._keepalive: asyncio.TimerHandle | None = None

    async def run(self, take: Callable[[Element], None], on_up: Callable[[], None], on_down: Callable[[], None]) -> None:
        """Connect and reconnect until `close`; `take` gets every stanza, in order.

        Waits 0.5 s to 60 s between attempts, growing, with jitter.
        """
        self.take, self._on_up = take, on_up
        wait = FIRST_WAIT
        while not self._closing.is_set():
            was_up = await self._connect_once()
            if was_up:
                on_down()
            if self._closing.is_set():
                return
            wait = FIRST_WAIT if was_up else min(wait * 2, LONGEST_WAIT)
            delay = wait * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
            self._tell_down(was_up, delay)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay)

    def _tell_down(self, was_up: bool, delay: float) -> None:
        """One clear line for each loss, and for what the server says against us; other failed attempts only at debug."""
        news = was_up or not self._told_down or (self._said_why and self.why_down != self._told_down)
        self._told_down = self.why_down
        log.log(logging.WARNING if news else logging.DEBUG, "stream.down reason=%s next_attempt_s=%.1f", self.why_down, delay)

    async def _connect_once(self) -> bool:
        """One connection from its first byte to its last; whether it got as far as being up."""
        connection = self._connection = _Connection(self, self.jid, self._secret)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().create_connection(lambda: connection, self._host, self._port), 10)
        except (OSError, TimeoutError) as error:
            self.why_down, self._said_why = f"{self._host}:{self._port}: {error or 'timed out'}", False
            return False
        self.heard = time.monotonic()
        self._watch()
        closing = asyncio.create_task(self._closing.wait())
        await asyncio.wait({closing, connection.down}, return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        if not connection.down.done():
            self._flush()
            if connection.transport is not None:
                connection.transport.write(b"</stream:stream>")
                connection.transport.close()
        self.why_down, self._said_why = await connection.down, bool(connection.why)
        was_up, self.up, self._connection = self.up, False, None
        self._outgoing.clear()
        if self._keepalive is not None:
            self._keepalive.cancel()
        return was_up

    def authenticated(self, connection: _Connection) -> None:
        if connection is self._connection:
            self.up = True
            log.info("stream.up host=%s port=%d", self._host, self._port)
            self._on_up()

    def _watch(self) -> None:
        """Ask a silent server for a sign of life; cut the stream when none comes (a half-open TCP connection tells nothing by itself)."""
        connection = self._connection
        if connection is None or connection.transport is None:
            return  # the connection is over
        silent = time.monotonic() - self.heard
        if silent >= DEAD:
            connection.why = f"no answer for {silent:.0f} s"
            connection.transport.abort()
            return
        if silent >= IDLE and self.up:
            self.ping("keepalive")
        self._keepalive = asyncio.get_running_loop().call_later(IDLE / 2, self._watch)

    def ping(self, stanza_id: str) -> bool:
        """An XEP-0199 ping to ourselves: whatever modules the server has, it comes back, after all that was sent before it."""
        return self.write(f"<iq type='get' id='{stanza_id}' from='{self.jid}' to='{self.jid}'><ping xmlns='{PING}'/></iq>")

    def send(self, stanza: Element) -> bool:
        """Send a stanza; False if the stream is down or the stanza too large for the server (then nothing was sent)."""
        return self.write(serialise(stanza))

    def fits(self, stanza: Element) -> bool:
        """Whether the stanza is small enough for the server."""
        return len(clean(serialise(stanza)).encode()) <= LARGEST

    def write(self, xml: str) -> bool:
        connection = self._connection
        if not self.up or connection is None or connection.transport is None:
            return False
        data = clean(xml).encode()
        if len(data) > LARGEST:
            log.warning("stream.oversize bytes=%d largest=%d", len(data), LARGEST)
            return False
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(data)
        return True

    def _flush(self) -> None:
        """One write for all that was sent in this turn of the loop (facts/performance.md, 6.2)."""
        connection = self._connection
        if connection is None or connection.transport is None or not self._outgoing:
            return
        connection.transport.write(b"".join(self._outgoing))
        self._outgoing.clear()
        if connection.transport.get_write_buffer_size() > BACKLOG:
            connection.why = f"the server has not read {BACKLOG} bytes"
            connection.transport.abort()

    def close(self) -> None:
        """End the stream after what was sent has been written."""
        self._closing.set()
