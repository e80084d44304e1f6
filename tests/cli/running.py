"""A component as far as the command line asks it, and the command line beside it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from config import sockets

RAPPORT = Path(sys.executable).with_name("rapport")


@asynccontextmanager
async def answering(path: Path, *routes: web.RouteDef) -> AsyncIterator[None]:
    """Answers at this socket."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, sockets.address(path)).start()
    try:
        yield
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


async def rapport(*words: str, at: Path, **environment: str) -> Done:
    """Runs the command line in this directory, to its end (60 s)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    process = await asyncio.create_subprocess_exec(
        *(RAPPORT, *words),
        cwd=at,
        env={**clean, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())
