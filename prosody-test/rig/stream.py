"""One XMPP stream over one TCP socket: what was received, in order, and waiting for it."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Self, TypeVar
from xml.etree import ElementTree as ET

from rig import xml
from rig.xml import Element

T = TypeVar("T")
Predicate = Callable[[Element], object]

_ids = itertools.count(1)


class StreamError(Exception):
    """The peer ended the stream; the text is the condition (`conflict`, `not-authorized`, `closed` …)."""


def new_id() -> str:
    return f"rig{next(_ids)}"


class Stream:
    """Everything that arrives is in `received`, in order, and stays there.

    `expect` takes each stanza at most once: two calls with the same predicate mean two stanzas.
    """

    namespace: str

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._incoming = xml.Incoming()
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._taken: set[int] = set()
        self._answers: dict[str, asyncio.Future[Element]] = {}
        self._arrivals: list[float] = []
        self.received: list[Element] = []
        self.error: str | None = None
        """Why the stream is over: a condition, or 'closed'; None while it is open."""

    # -- the socket

    async def _dial(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        self._writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def _open(self, to: str) -> Element:
        """Send a stream header, return that of the peer."""
        self._incoming = xml.Incoming()
        await self.send(
            f"<?xml version='1.0'?><stream:stream to={xml.quoteattr(to)} version='1.0' "
            f"xmlns='{self.namespace}' xmlns:stream='{xml.STREAMS}'>"
        )
        while self._incoming.root is None:
            await self._read()
        return self._incoming.root

    async def _read(self) -> None:
        assert self._reader is not None
        try:
            data = await self._reader.read(65536)
        except OSError:
            data = b""
        if not data:
            self._over("closed")
            raise StreamError(self.error or "closed")
        for element in self._incoming.feed(data):
            self._arrived(element)

    @contextlib.asynccontextmanager
    async def _negotiation(self) -> AsyncIterator[None]:
        """The socket is closed if what is done herein fails."""
        async with contextlib.AsyncExitStack() as on_failure:
            on_failure.push_async_callback(self.cut)
            yield
            on_failure.pop_all()

    async def _next(self) -> Element:
        """Before the reader task runs: the next element of the negotiation, not kept."""
        while not self.received:
            await self._read()
        self._arrivals.pop(0)
        return self.received.pop(0)

    def _listen(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        with contextlib.suppress(StreamError):
            while True:
                try:
                    await self._read()
                except ET.ParseError:
                    # The end tag of the stream and what follows it parse as the end of the document.
                    self._over("not-well-formed")
                    return

    def _over(self, condition: str) -> None:
        self.error = self.error or condition
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(StreamError(self.error))
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _arrived(self, element: Element) -> None:
        if element.tag == f"{{{xml.STREAMS}}}error":
            conditions = [xml.name(each) for each in element if xml.namespace(each) == xml.STREAM_ERRORS]
            self._over(conditions[0] if conditions else "undefined-condition")
        self.received.append(element)
        self._arrivals.append(time.time())
        if xml.name(element) == "iq":
            if element.get("type") in ("result", "error"):
                waiting = self._answers.get(element.get("id", ""))
                if waiting is not None and not waiting.done():
                    waiting.set_result(element)
            else:
                self._asked(element)
        self._wake()

    def _asked(self, iq: Element) -> None:
        """A request arrived (RFC 6120, 8.2.3: it must be answered)."""

    # -- sending

    async def send(self, stanza: str) -> None:
        """Write this XML as it is.

        Raises:
            StreamError: the stream is over.
        """
        if self.error is not None:
            raise StreamError(self.error)
        self._write(stanza)
        assert self._writer is not None
        await self._writer.drain()

    def _write(self, stanza: str) -> None:
        assert self._writer is not None, "not connected"
        self._writer.write(stanza.encode())

    async def iq(self, kind: str, payload: str, to: str | None = None, from_: str | None = None, within: float = 5.0) -> Element:
        """Ask, and return the answer: result or error.

        Raises:
            TimeoutError: no answer in time.
            StreamError: the stream ended first.
        """
        identity = new_id()
        answer: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._answers[identity] = answer
        addresses = "".join(f" {key}={xml.quoteattr(jid)}" for key, jid in (("to", to), ("from", from_)) if jid)
        try:
            await self.send(f"<iq type='{kind}' id='{identity}'{addresses}>{payload}</iq>")
            return await asyncio.wait_for(answer, within)
        except TimeoutError:
            raise TimeoutError(f"no answer from {to or 'the server'} within {within} s to {payload}") from None
        finally:
            del self._answers[identity]

    # -- waiting

    async def expect(self, predicate: Predicate, within: float = 5.0, what: str = "") -> Element:
        """The oldest stanza that matches and was not expected before, already here or arriving in time.

        Raises:
            AssertionError: none came; the text shows what did.
            StreamError: the stream ended first.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        start = 0
        while True:
            news = self._news
            for position in range(start, len(self.received)):
                if position not in self._taken and predicate(self.received[position]):
                    self._taken.add(position)
                    return self.received[position]
            start = len(self.received)
            if self.error is not None:
                raise StreamError(self.error)
            try:
                await asyncio.wait_for(news.wait(), max(0.0, end - loop.time()))
            except TimeoutError:
                raise AssertionError(f"{what or 'the stanza'} did not come within {within} s; {self._recent()}") from None

    async def until(self, condition: Callable[[], T | None], within: float = 5.0, what: str = "the state") -> T:
        """Ask `condition` now and after each arrival until it gives something true; return that.

        Raises:
            AssertionError: it was not true in time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while True:
            news = self._news
            answer = condition()
            if answer:
                return answer
            try:
                await asyncio.wait_for(news.wait(), max(0.0, end - loop.time()))
            except TimeoutError:
                raise AssertionError(f"{what}: not within {within} s; {self._recent()}") from None

    async def nothing(self, predicate: Predicate, during: float = 0.0, what: str = "") -> None:
        """No stanza that matches comes from now until a round trip (`settled`) is done, and `during` seconds more.

        Give `during` only where a timer is what must not fire.

        Raises:
            AssertionError: one came.
        """
        start = len(self.received)

        def unwanted() -> list[Element]:
            return [each for each in self.received[start:] if predicate(each)]

        await self.settled()
        if during and not unwanted():
            with contextlib.suppress(AssertionError):
                await self.until(unwanted, during)
        found = unwanted()
        assert not found, f"{what or 'this'} should not have come: {xml.dump(found[0])}"

    async def settled(self) -> None:
        """A round trip: what was under way when it began has arrived."""
        raise NotImplementedError

    async def ended(self, within: float = 10.0) -> str:
        """Wait until the peer has ended the stream; why."""
        return await self.until(lambda: self.error, within, "the end of the stream")

    def mark(self) -> int:
        """A position in `received`, to ask later what came after it."""
        return len(self.received)

    def arrived(self, stanza: Element) -> float:
        """When a received stanza came, UNIX seconds."""
        return next(at for each, at in zip(self.received, self._arrivals, strict=True) if each is stanza)

    def _recent(self) -> str:
        lines = "\n".join(f"  {xml.dump(each)}" for each in self.received[-12:])
        return f"the last of {len(self.received)} received:\n{lines}"

    # -- ending

    async def close(self) -> None:
        """End the stream politely. Idempotent."""
        if self._writer is not None and self.error is None:
            with contextlib.suppress(StreamError, OSError):
                await self.send("</stream:stream>")
        await self.cut()

    async def cut(self) -> None:
        """Let the TCP connection go without a word. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None
        self._over("closed")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
