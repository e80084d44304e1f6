"""S3 (spec/60-quality.md): messages through a virtual user against plain delivery, and a choice among 1,000. One private Prosody."""

import asyncio
import random
import time
from collections.abc import Sequence

from measure import cpu, line, median, percentile
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import Host
from rig.shop import SHOP
from traffic import BURST, Receiver, burst, closed

from component.rules import hours
from component.rules.distance import Place
from component.rules.routing import Call, Member, choose

ROUNDS = 5
TEAM = 1_000
POLICIES = ("latest", "hours", "attributes", "least-load", "nearest")


async def messages(server: Prosody, rapport: Rapport) -> None:
    cat, ann, dan = RawClient(server), Receiver(server), Receiver(server)
    await cat.login("cat@localhost/a")
    await ann.login("ann@localhost/a")
    await dan.login("dan@localhost/a")
    paths = {"plain": (cat, dan, "dan@localhost"), "shop": (cat, ann, SHOP)}
    for path in paths.values():
        await closed(*path)
        await burst(*path)
    rates: dict[str, list[float]] = {"plain": [], "shop": []}
    times: dict[str, list[Sequence[float]]] = {"plain": [], "shop": []}
    spent = 0.0
    for _ in range(ROUNDS):
        for name, path in paths.items():
            before = cpu(rapport.pid)
            rates[name].append(await burst(*path))
            if name == "shop":
                spent += cpu(rapport.pid) - before
        for name, path in paths.items():
            times[name].append(await closed(*path))
    plain, shop = median(rates["plain"]), median(rates["shop"])
    line("S3 messages/s through a virtual user, stored", f"{shop:.0f} / {plain:.0f} = {shop / plain:.2f}x", ">= 0.5x", shop / plain >= 0.5)
    line("S3 component's CPU per message", f"{spent / ROUNDS / BURST * 1e6:.0f} us", "-")
    half = {name: median([percentile(each, 0.5) for each in found]) for name, found in times.items()}
    ratio = half["shop"] / half["plain"]
    line("S3 latency p50, stored", f"{half['shop'] * 1e3:.2f} ms / {half['plain'] * 1e3:.2f} ms = {ratio:.1f}x", "<= 4x", ratio <= 4)
    late = {name: median([percentile(each, 0.99) for each in found]) * 1e3 for name, found in times.items()}
    more = late["shop"] - late["plain"]
    line("S3 latency p99, stored", f"{late['shop']:.1f} ms / {late['plain']:.1f} ms, {more:+.1f} ms", "<= plain + 5 ms", more <= 5)
    for client in (cat, ann, dan):
        await client.close()


def choice() -> None:
    """One choice among 1,000 sub-users, with five policies."""
    draw = random.Random(1)  # noqa: S311 - the same team each time
    shifts = [hours.parse(f"Mon-Fri 0{start}:00-17:00 Europe/Berlin; Sat 10:00-14:00 Europe/Berlin") for start in range(6, 10)]
    team = [
        Member(
            f"m{number}@localhost",
            load=draw.randrange(4),
            active_at=draw.random(),
            place=Place(draw.uniform(-90, 90), draw.uniform(-180, 180)),
            hours=draw.choice(shifts),
            attributes={"language": frozenset({draw.choice(("de", "en"))})},
        )
        for number in range(TEAM)
    ]
    call = Call(time.time(), {"m7@far.example": time.time()}, place=Place(52.5, 13.4), attributes={"language": frozenset({"de"})})
    times = []
    for _ in range(100):
        started = time.perf_counter()
        choose(call, team, POLICIES)
        times.append(time.perf_counter() - started)
    measured = median(times) * 1e3
    line(f"S3 choose among {TEAM} sub-users with five policies", f"{measured:.2f} ms", "<= 1 ms", measured <= 1)


async def main() -> None:
    choice()
    # Prosody's file archive gets slower with each message: without it the rounds can be compared.
    server = Prosody([Host(users={"cat": [], "ann": [], "dan": []})], extra="default_archive_policy = false")
    await server.start()
    rapport = Rapport(server, {"virtual": [{"node": "shop", "name": "The Bookshop", "members": ["ann@localhost"]}]})
    try:
        await rapport.start()
        await messages(server, rapport)
    finally:
        await rapport.discard()
        await server.discard()


if __name__ == "__main__":
    asyncio.run(main())
