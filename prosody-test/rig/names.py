"""A name server of a private server's own: peers on ports of 127.0.0.1, by SRV (RFC 6120, 3.2.1)."""

import asyncio
import struct
from collections.abc import Callable, Mapping

SERVICE = "_xmpp-server._tcp."
HEADER = struct.Struct("!6H")
SRV, IN = 33, 1
NO_ERROR, NO_SUCH_NAME = 0x8180, 0x8183


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP.

    Args:
        peers: asked at each query; host name -> port.
    """

    def __init__(self, peers: Callable[[], Mapping[str, int]]) -> None:
        self._peers = peers
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, port: int) -> None:
        """On this port of 127.0.0.1. Idempotent."""
        if self._transport is None:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, ("127.0.0.1", port))

    def close(self) -> None:
        """Idempotent."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(answer(data, self._peers()), sender)


def answer(query: bytes, peers: Mapping[str, int]) -> bytes:
    """The response to a query of one question (RFC 1035, 4.1; RFC 2782)."""
    identity = HEADER.unpack_from(query)[0]
    labels, end = [], HEADER.size
    while size := query[end]:
        labels.append(query[end + 1 : end + 1 + size].decode())
        end += 1 + size
    question = query[HEADER.size : end + 5]
    kind = int.from_bytes(query[end + 1 : end + 3])
    name = ".".join(labels).lower()
    port = peers.get(name.removeprefix(SERVICE)) if name.startswith(SERVICE) and kind == SRV else None
    if port is None:
        return HEADER.pack(identity, NO_SUCH_NAME, 1, 0, 0, 0) + question
    # An address for a name: who resolves that needs no second query.
    target = b"".join(bytes([len(label)]) + label for label in b"127.0.0.1".split(b".")) + b"\0"
    data = struct.pack("!3H", 0, 0, port) + target
    record = struct.pack("!3HIH", 0xC000 | HEADER.size, SRV, IN, 0, len(data)) + data
    return HEADER.pack(identity, NO_ERROR, 1, 1, 0, 0) + question + record
