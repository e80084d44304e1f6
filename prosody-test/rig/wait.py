"""Waiting for a condition, with a limit."""

import asyncio
import itertools
import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path


async def until(condition: Callable[[], object], within: float = 5.0, what: str = "the condition") -> None:
    """Ask `condition` again and again until it gives something true.

    Args:
        within: seconds; the limit.
        what: names the condition in the error.

    Raises:
        TimeoutError: it was not true in time.
    """

    async def asked() -> object:
        return condition()

    await eventually(asked, within, what)


async def eventually(
    condition: Callable[[], Awaitable[object]], within: float = 5.0, what: str = "the condition", every: float = 0.01
) -> None:
    """As `until`, for a condition that must be awaited; `every`: seconds between two askings."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while not await condition():
        if loop.time() >= end:
            raise TimeoutError(f"{what}: not within {within} s")
        await asyncio.sleep(every)


PORTS = range(10_000, 32_000)
"""Below those that the kernel gives to outgoing connections: a port stays free while its server is down for a restart."""


def free_ports(count: int) -> list[int]:
    """`count` different ports of 127.0.0.1 that nobody listens on, by TCP or UDP.

    Tests run in processes side by side (pytest-xdist): each takes from its own tenth of the range.
    """
    return list(itertools.islice(filter(_is_free, _candidates), count))


def _mine() -> Iterator[int]:
    size = len(PORTS) // 10
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    mine = PORTS[worker * size : (worker + 1) * size]
    start = random.randrange(size)  # other runs on this machine take from the same range
    return itertools.cycle((*mine[start:], *mine[:start]))


_candidates = _mine()


def _is_free(port: int) -> bool:
    return all(_can_bind(kind, port) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))


def _can_bind(kind: socket.SocketKind, port: int) -> bool:
    with socket.socket(type=kind) as probe:
        # As servers bind: the last one's closed connections don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def accepts(at: int | Path) -> bool:
    """Whether somebody accepts connections at this port of 127.0.0.1, or at this UNIX socket."""
    try:
        _, writer = await (asyncio.open_unix_connection(str(at)) if isinstance(at, Path) else asyncio.open_connection("127.0.0.1", at))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
