"""HTTP by hand, as much as health and metrics need."""

import asyncio


async def get(port: int, path: str, within: float = 5.0) -> tuple[int, str]:
    """GET from 127.0.0.1:`port`; status and body.

    Raises:
        OSError: nobody listens.
        TimeoutError: no complete answer in time.
    """
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
    return int(head.split()[1]), body.decode()
