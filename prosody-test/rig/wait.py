"""Waiting for a condition, with a limit."""

import asyncio
import socket
from collections.abc import Awaitable, Callable


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


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports of 127.0.0.1 that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def accepts(port: int) -> bool:
    """Whether somebody accepts connections at 127.0.0.1:`port`."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
