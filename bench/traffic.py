"""Messages of one client to another, as fast as they go or one at a time."""

import asyncio
import time
from collections.abc import Sequence

from rig import xml
from rig.raw import RawClient

BURST, WINDOW = 3_000, 200
"""Messages of a round, and how many of them are on their way at a time."""
CLOSED = 400
"""Messages of a round, one at a time."""
LIMIT = 60.0


class Receiver(RawClient):
    """Counts messages with a body, and keeps none."""

    count = 0
    _wanted = 0
    _reached: asyncio.Future[None] | None = None

    def _arrived(self, element: xml.Element) -> None:
        if xml.name(element) != "message":
            super()._arrived(element)
        elif xml.body(element) is not None:
            self.count += 1
            if self._reached is not None and self.count >= self._wanted:
                self._reached.set_result(None)
                self._reached = None

    async def reaches(self, count: int) -> None:
        """Wait until so many have come."""
        if self.count < count:
            self._wanted, self._reached = count, asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._reached, LIMIT)


async def burst(sender: RawClient, receiver: Receiver, to: str) -> float:
    """Messages a second, `WINDOW` on their way; topped up by the half."""
    start, sent = receiver.count, 0
    started = time.perf_counter()
    while sent < BURST:
        await sender.send("".join(_message(to, f"burst {number}") for number in range(sent, sent + WINDOW // 2)))
        sent += WINDOW // 2
        await receiver.reaches(start + sent - WINDOW // 2)
    await receiver.reaches(start + BURST)
    return BURST / (time.perf_counter() - started)


async def closed(sender: RawClient, receiver: Receiver, to: str) -> Sequence[float]:
    """Seconds from sending to receiving, one message at a time."""
    times = []
    for number in range(CLOSED):
        wanted = receiver.count + 1
        started = time.perf_counter()
        await sender.send(_message(to, f"closed {number}"))
        await receiver.reaches(wanted)
        times.append(time.perf_counter() - started)
    return times


def _message(to: str, body: str) -> str:
    return f"<message to='{to}' type='chat' id='{body.replace(' ', '-')}'><body>{body}</body><request xmlns='urn:xmpp:receipts'/></message>"
