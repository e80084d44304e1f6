"""The link (spec/60-quality.md): what a tapped message costs Prosody, against the same without mod_rapport. Two private Prosodys."""

import asyncio
import contextlib

from measure import cpu, line, median
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import Host
from traffic import BURST, Receiver, burst

ROUNDS = 9


async def main() -> None:
    async with contextlib.AsyncExitStack() as stack:
        spent: dict[str, list[float]] = {"plain": [], "tapped": []}
        rates: dict[str, list[float]] = {"plain": [], "tapped": []}
        paths = {}
        for name in spent:
            # Prosody's file archive gets slower with each message: without it the rounds can be compared.
            users = Host(users={"cat": [], "dan": []})
            server = Prosody([users], module=name == "tapped", extra="default_archive_policy = false")
            stack.push_async_callback(server.discard)
            await server.start()
            if server.module:
                rapport = Rapport(server)
                stack.push_async_callback(rapport.discard)
                await rapport.start()
            cat = await stack.enter_async_context(RawClient(server))
            dan = await stack.enter_async_context(Receiver(server))
            await cat.login("cat@localhost/a")
            await dan.login("dan@localhost/a")
            paths[name] = server, cat, dan
            await burst(cat, dan, dan.bare)
        for _ in range(ROUNDS):
            for name, (server, cat, dan) in paths.items():
                before = cpu(server.pid)
                rates[name].append(await burst(cat, dan, dan.bare))
                spent[name].append((cpu(server.pid) - before) / BURST * 1e6)
    plain, tapped = median(spent["plain"]), median(spent["tapped"])
    figures = f"{tapped:.0f} us / {plain:.0f} us = {tapped / plain:.2f}x"
    line("link Prosody's CPU for a message, tapped", figures, "<= 1.15x", tapped / plain <= 1.15)
    line("link messages/s, tapped", f"{median(rates['tapped']):.0f} / {median(rates['plain']):.0f}", "-")


if __name__ == "__main__":
    asyncio.run(main())
