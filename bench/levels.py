"""S4 (spec/60-quality.md): a level-filtered roster query against the same user's own roster query to Prosody. One private Prosody."""

import asyncio
import time

from measure import line, median, percentile
from rig import commands, levels, xml
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import Contact, Host

CONTACTS = 1_000
ROUNDS = 60
WRITTEN_TO = 200
"""Contacts with whom messages were exchanged."""
LIMIT = 30.0


def hosts() -> list[Host]:
    friends = [Contact(f"c{number}@localhost", name=f"Contact {number}", groups=("Everybody",)) for number in range(CONTACTS - 1)]
    return [Host(users={"owner": [*friends, Contact("asker@localhost")], "asker": [Contact("owner@localhost")]})]


async def measured(client: RawClient, query: str, to: str | None) -> float:
    """Seconds from question to answer; the answer has a contact for each of the owner's (but the asker)."""
    started = time.perf_counter()
    answer = await client.iq("get", query, to, within=LIMIT)
    took = time.perf_counter() - started
    assert len(levels.listed(answer)) >= CONTACTS - 1, xml.condition(answer)
    return took


async def queries(owner: RawClient, asker: RawClient) -> None:
    for number in range(WRITTEN_TO):
        await owner.message(f"c{number}@localhost", f"message {number}")
    await owner.settled()
    await levels.open_door(owner, "contacts", 1, 2, 3, 4, 5, share_names=True)
    own, filtered, refused = [], [], []
    for _ in range(ROUNDS):
        own.append(await measured(owner, f"<query xmlns='{xml.ROSTER}'/>", None))
        filtered.append(await measured(asker, levels.roster_query(), levels.face("owner@localhost")))
        started = time.perf_counter()
        await asker.iq("get", levels.roster_query(), levels.face("nobody@localhost"))
        refused.append(time.perf_counter() - started)
    ratio = median(filtered) / median(own)
    p95 = f"p95 {percentile(filtered, 0.95) * 1e3:.0f} ms"
    figures = f"{median(filtered) * 1e3:.1f} ms / {median(own) * 1e3:.1f} ms = {ratio:.2f}x; {p95}"
    line(f"S4 a level-filtered roster, {CONTACTS} contacts, p50", figures, "<= 2x", ratio <= 2)
    line("S4 a refusal, p50 (a whole number of 100 ms)", f"{median(refused) * 1e3:.1f} ms", "-")
    tables = []
    for _ in range(10):
        started = time.perf_counter()
        await commands.run(owner, "levels")
        tables.append(time.perf_counter() - started)
    line(f"S4 the command levels, {CONTACTS} contacts, p50", f"{median(tables) * 1e3:.1f} ms", "-")


async def main() -> None:
    server = Prosody(hosts())
    rapport = Rapport(server)
    try:
        await server.start()
        await rapport.start()
        async with RawClient(server) as owner, RawClient(server) as asker:
            await owner.login("owner@localhost/phone")
            await asker.login("asker@localhost/phone")
            await queries(owner, asker)
    finally:
        await rapport.discard()
        await server.discard()


if __name__ == "__main__":
    asyncio.run(main())
