"""S0 and the link (spec/60-quality.md): tailored presence against Prosody's own broadcast, and latency. One private Prosody."""

import asyncio
import resource
import time
from collections.abc import Sequence
from dataclasses import replace

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
ROUNDS = 7
LIMIT = 30.0
GROUPS = {0: "Own", 1: "Away", 2: "Busy"}


def hosts() -> Sequence[Host]:
    contacts = [f"c{number}" for number in range(CONTACTS)]
    both = [Contact(f"{contact}@localhost", groups=(GROUPS[number % 3],)) for number, contact in enumerate(contacts)]
    watched = [Contact("tailored@localhost"), Contact("plain@localhost")]
    return [Host(users={"tailored": both, "plain": both, **dict.fromkeys(contacts, watched)})]


async def until_all_have_it(sender: RawClient, watchers: Sequence[RawClient], status: str, show: str) -> float:
    """Seconds from a change of show until the last watcher has it."""
    before = [len(watcher.received) for watcher in watchers]
    started = time.perf_counter()
    await sender.presence(show, status)
    for watcher, since in zip(watchers, before, strict=True):
        await watcher.until(lambda: any(each.get("from") == sender.jid for each in watcher.received[since:]), LIMIT)  # noqa: B023
    return time.perf_counter() - started


async def broadcast(server: Prosody, rapport: Rapport) -> None:
    watchers = [await RawClient(server).login(f"c{number}@localhost/w") for number in range(CONTACTS)]
    tailored = await RawClient(server).login("tailored@localhost/phone")
    plain = await RawClient(server).login("plain@localhost/phone")
    for words in ("presence on", "always group:Away away", "always group:Busy dnd"):
        await chat(tailored, words)
    for client in (tailored, plain):
        await until_all_have_it(client, watchers, "warm", "chat")
    times: dict[str, list[float]] = {"tailored": [], "plain": []}
    spent = 0.0
    for number in range(ROUNDS):
        for name, client in (("plain", plain), ("tailored", tailored)):
            before = cpu(rapport.pid)
            times[name].append(await until_all_have_it(client, watchers, f"round {number}", "chat" if number % 2 else "online"))
            if name == "tailored":
                spent += cpu(rapport.pid) - before
    ratio = median(times["tailored"]) / median(times["plain"])
    measured = f"{median(times['tailored']) * 1e3:.0f} ms / {median(times['plain']) * 1e3:.0f} ms = {ratio:.2f}x"
    line(f"S0 a change of show to {CONTACTS} contacts, 3 outcomes", measured, "<= 1.15x", ratio <= 1.15)
    each = spent / ROUNDS / CONTACTS * 1e6
    line("S0 component's CPU per tailored presence", f"{each:.1f} us", "<= 10 us", each <= 10)
    await latency(tailored, watchers[0:1200:3])
    for client in [*watchers, tailored, plain]:
        await client.close()


async def chat(client: RawClient, words: str) -> None:
    seen = len(client.received)
    await client.message("rapport.localhost", words)
    await client.until(lambda: client.bodies("rapport.localhost", seen), LIMIT)


async def latency(tailored: RawClient, watchers: Sequence[RawClient]) -> None:
    """Each contact writes once: the message's way to the user, and the new state's way back to the writer."""
    await tailored.presence("online")
    await tailored.settled()
    plain, seen = [], []
    for number, watcher in enumerate(watchers):
        at_user, at_writer = len(tailored.received), len(watcher.received)
        started = time.perf_counter()
        await watcher.message(tailored.bare, f"message {number}")
        await tailored.until(lambda: tailored.bodies(watcher.bare, at_user), LIMIT)  # noqa: B023
        plain.append(time.perf_counter() - started)
        await watcher.until(lambda: "away" in watcher.saw(tailored.bare, at_writer), LIMIT)  # noqa: B023
        seen.append(time.perf_counter() - started)
    ratio = median(seen) / median(plain)
    measured = f"{median(seen) * 1e3:.2f} ms / {median(plain) * 1e3:.2f} ms = {ratio:.1f}x; p95 {percentile(seen, 0.95) * 1e3:.1f} ms"
    line("S0 a message, until its writer sees the new state, p50", measured, "<= 3x", ratio <= 3)


def decide() -> None:
    """One pass over a user with 1,000 contacts, in memory."""
    clock, server = FakeClock(), FakeServer()
    server.rosters[ALICE] = {f"c{number}@localhost": item(f"c{number}@localhost") for number in range(CONTACTS)}
    server.log_in(f"{ALICE}/phone", Own(Show.ONLINE))
    presence = Presence(server, FakeLedger(), MemoryStore(), clock, 0.05, Rules())

    async def gather() -> None:
        await presence.change(ALICE, replace(presence.settings(ALICE), enabled=True))
        presence.on_session(server.sessions(ALICE)[f"{ALICE}/phone"], {}, True)
        await presence.drain()

    asyncio.run(gather())
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
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    server = Prosody(hosts())
    await server.start()
    rapport = Rapport(server)
    decide()
    try:
        await rapport.start()
        await broadcast(server, rapport)
    finally:
        await rapport.discard()
        await server.discard()


if __name__ == "__main__":
    asyncio.run(main())
