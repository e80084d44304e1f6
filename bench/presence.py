"""S0 and the link (spec/60-quality.md): tailored presence against Prosody's own broadcast, and latency. One private Prosody."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from audience import Audience
from measure import cpu, line, median, percentile
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import Contact, Host

from component.presence.service import Presence
from component.rules.facts import Message
from component.rules.presence import Own, Rules, Show
from tests.fakes import FakeClock, FakeLedger, FakeServer, item
from tests.presence.test_service import ALICE, MemoryStore

CONTACTS = 1000
WRITERS = 100
ROUNDS = 9
LIMIT = 30.0
GROUPS = {0: "Own", 1: "Away", 2: "Busy"}


def hosts() -> Sequence[Host]:
    contacts = [f"c{number}" for number in range(CONTACTS)]
    both = [Contact(f"{contact}@localhost", groups=(GROUPS[number % 3],)) for number, contact in enumerate(contacts)]
    watched = [Contact("tailored@localhost"), Contact("plain@localhost")]
    return [Host(users={"tailored": both, "plain": both, **dict.fromkeys(contacts, watched)})]


async def until_all_have_it(sender: RawClient, audience: Audience, status: str, show: str) -> float:
    """Seconds from a change of show until the last contact has it."""
    await asyncio.to_thread(audience.expect, status)
    started = time.monotonic()
    await sender.presence(show, status)
    return await asyncio.to_thread(audience.instant) - started


async def broadcast(server: Prosody, rapport: Rapport, tailored: RawClient) -> None:
    """A change of show, until the last of 1,000 contacts has it, by turns of a tailored user and a plain one."""
    plain = await RawClient(server).login("plain@localhost/phone")
    with Audience(server.c2s_port, CONTACTS) as audience:
        for client in (tailored, plain):
            await until_all_have_it(client, audience, f"warm {client.jid}", "chat")
        times: dict[str, list[float]] = {"tailored": [], "plain": []}
        spent = 0.0
        for number in range(ROUNDS):
            for name, client in (("plain", plain), ("tailored", tailored)):
                before = cpu(rapport.pid)
                times[name].append(await until_all_have_it(client, audience, f"{name} {number}.", "chat" if number % 2 else "online"))
                spent += cpu(rapport.pid) - before if name == "tailored" else 0.0
    ratio = median(times["tailored"]) / median(times["plain"])
    measured = f"{median(times['tailored']) * 1e3:.0f} ms / {median(times['plain']) * 1e3:.0f} ms = {ratio:.2f}x"
    line(f"S0 a change of show to {CONTACTS} contacts, 3 outcomes", measured, "<= 1.15x", ratio <= 1.15)
    each = spent / ROUNDS / CONTACTS * 1e6
    line("S0 component's CPU per tailored presence", f"{each:.1f} us", "<= 10 us", each <= 10)
    await plain.close()


async def chat(client: RawClient, words: str) -> None:
    seen = len(client.received)
    await client.message("rapport.localhost", words)
    await client.until(lambda: client.bodies("rapport.localhost", seen), LIMIT)


async def latency(server: Prosody, tailored: RawClient) -> None:
    """Contacts who write to the user for the first time: the message's way to the user, and the new state's way back to the writer."""
    times = []
    for number in range(0, 3 * WRITERS, 3):
        async with RawClient(server) as writer:
            await writer.login(f"c{number}@localhost/p")
            times.append(await first_message(writer, tailored))
    plain, seen = zip(*times, strict=True)
    ratio = median(seen) / median(plain)
    measured = f"{median(seen) * 1e3:.2f} ms / {median(plain) * 1e3:.2f} ms = {ratio:.1f}x; p95 {percentile(seen, 0.95) * 1e3:.1f} ms"
    line("S0 a message, until its writer sees the new state, p50", measured, "<= 3x", ratio <= 3)


async def first_message(writer: RawClient, tailored: RawClient) -> tuple[float, float]:
    """Seconds until the user has it, and until its writer sees the user away."""
    await writer.until(lambda: writer.saw(tailored.bare), LIMIT)
    at_user, at_writer = len(tailored.received), len(writer.received)
    started = time.perf_counter()
    await writer.message(tailored.bare, "hello")
    await tailored.until(lambda: tailored.bodies(writer.bare, at_user), LIMIT)
    arrived = time.perf_counter() - started
    await writer.until(lambda: "away" in writer.saw(tailored.bare, at_writer), LIMIT)
    return arrived, time.perf_counter() - started


async def decide() -> None:
    """One pass over a user with 1,000 contacts, in memory."""
    clock, server = FakeClock(), FakeServer()
    server.rosters[ALICE] = {f"c{number}@localhost": item(f"c{number}@localhost") for number in range(CONTACTS)}
    server.log_in(f"{ALICE}/phone", Own(Show.ONLINE))
    presence = Presence(server, FakeLedger(), MemoryStore(), clock, 0.05, Rules())

    await presence.change(ALICE, lambda before: replace(before, enabled=True))
    presence.on_session(server.sessions(ALICE)[f"{ALICE}/phone"], {}, True)
    await presence.drain()
    for number in range(0, CONTACTS, 3):
        presence.on_message(Message(f"c{number}@localhost", ALICE, clock.now()))
    times = []
    for _ in range(20):
        started = time.perf_counter()
        presence.refresh(ALICE)
        times.append(time.perf_counter() - started)
    measured = median(times) * 1e3
    line(f"S0 decide anew for one user with {CONTACTS} contacts", f"{measured:.2f} ms", "<= 2 ms", measured <= 2)


async def main() -> None:
    await decide()
    server = Prosody(hosts())
    await server.start()
    rapport = Rapport(server)
    try:
        await rapport.start()
        async with RawClient(server) as tailored:
            await tailored.login("tailored@localhost/phone")
            for words in ("presence on", "always group:Away away", "always group:Busy dnd"):
                await chat(tailored, words)
            await latency(server, tailored)
            await chat(tailored, "always group:Own online")
            await broadcast(server, rapport, tailored)
    finally:
        await rapport.discard()
        await server.discard()


if __name__ == "__main__":
    asyncio.run(main())
