"""The link (spec/60-quality.md): what a tapped message costs Prosody, against the same without mod_rapport. Two private Prosodys."""

import asyncio
import contextlib
from collections.abc import Callable

from measure import cpu, line, median
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import Host, Server
from traffic import BURST, Receiver, burst

ROUNDS = 9
USERS = [Host(users={"cat": [], "dan": []})]


async def compare(server_name: str, make: Callable[[bool], Server], goal: float | None = None) -> None:
    """Measure a server without mod_rapport and one with it and Rapport, by turns.

    Args:
        make: a server with `USERS`, with the module or without, and without an archive: its cost would grow from round to round.
        goal: the most that a message may cost, as a multiple of one without the module.
    """
    async with contextlib.AsyncExitStack() as stack:
        spent: dict[str, list[float]] = {"plain": [], "tapped": []}
        rates: dict[str, list[float]] = {"plain": [], "tapped": []}
        paths = {}
        for name in spent:
            server = make(name == "tapped")
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
    met = None if goal is None else tapped / plain <= goal
    line(f"link {server_name}'s CPU for a message, tapped", figures, "-" if goal is None else f"<= {goal}x", met)
    line(f"link messages/s through {server_name}, tapped", f"{median(rates['tapped']):.0f} / {median(rates['plain']):.0f}", "-")


if __name__ == "__main__":
    asyncio.run(compare("Prosody", lambda module: Prosody(USERS, module=module, extra="default_archive_policy = false"), 1.15))
