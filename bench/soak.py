"""Load with random restarts and cuts (spec/60-quality.md, Reliability): `python bench/soak.py MINUTES` (30). Not part of `make bench`.

People write to each other and to a team; Rapport's stream goes through a proxy that cuts it, and Rapport is killed and started. In the
end: every message is in the ledger once, every message to the team arrived once and in order, no log has an error, memory is flat.
"""

import asyncio
import contextlib
import random
import sqlite3
import sys
import time
from collections import defaultdict

from measure import resident
from rig import commands, xml
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.server import Host, friends
from rig.shop import SHOP
from rig.wait import eventually, free_ports

PEOPLE = [f"p{number}" for number in range(10)]
TEAM = ("ann", "ben")
PAUSE = 0.02
"""Seconds between two messages."""
CUT, KILL = (5.0, 20.0), (120.0, 240.0)
"""Seconds between two cuts of the stream, and between two kills of Rapport."""
OLD = 60.0
"""Seconds after its start from which Rapport's memory counts."""


class Proxy:
    """Stands between Rapport and the server."""

    def __init__(self, server_port: int) -> None:
        (self.port,) = free_ports(1)
        self._server_port = server_port
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._open |= ends
        ways = [asyncio.create_task(_pour(reader, back)), asyncio.create_task(_pour(to, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.transport.abort()
        self._open -= ends
        await asyncio.wait(ways)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class Soak:
    def __init__(self, minutes: float) -> None:
        self.until = time.monotonic() + minutes * 60
        self.server = Prosody([Host(users=friends(*PEOPLE, *TEAM))], extra="default_archive_policy = false")
        self.sent: dict[str, list[str]] = defaultdict(list)
        """Bodies to the team, by customer."""
        self.counted = 0
        self.kills = self.cuts = 0
        self.memory: list[float] = []
        self.chance = random.Random(1)  # noqa: S311 - the same course each time

    async def run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.server.discard)
            await self.server.start()
            self.proxy = Proxy(self.server.component_port)
            await stack.enter_async_context(await self.proxy.start())
            virtual = {"node": "shop", "name": "The Bookshop", "members": [f"{name}@localhost" for name in TEAM], "policy": ["round-robin"]}
            self.rapport = Rapport(self.server, {"component": {"port": self.proxy.port}, "virtual": [virtual]})
            stack.push_async_callback(self.rapport.discard)
            await self.rapport.start()
            self.people = {}
            for name in (*PEOPLE, *TEAM):
                self.people[name] = await stack.enter_async_context(RawClient(self.server))
                await self.people[name].login(f"{name}@localhost/a")
            for name in PEOPLE:
                await commands.run(self.people[name], "presence", {"enabled": True, "sent_window": "20s", "received_window": "20s"})
            async with asyncio.TaskGroup() as group:
                for work in (self.write(), self.cut(), self.kill(), self.weigh()):
                    group.create_task(work)
            await self.compare()

    def going(self) -> bool:
        return time.monotonic() < self.until

    async def write(self) -> None:
        while self.going():
            await asyncio.sleep(PAUSE)
            sender = self.chance.choice(PEOPLE)
            other = self.chance.choice(PEOPLE)
            if self.chance.random() < 0.3:
                body = f"{sender} {len(self.sent[sender])}"
                await self.people[sender].message(SHOP, body)
                self.sent[sender].append(body)
            elif other != sender:
                await self.people[sender].message(f"{other}@localhost", "hello")
                self.counted += 1
            if self.chance.random() < 0.02:
                await self.people[sender].presence(self.chance.choice(("online", "away", "dnd")))

    async def cut(self) -> None:
        while self.going():
            await asyncio.sleep(self.chance.uniform(*CUT))
            self.proxy.cut()
            self.cuts += 1

    async def kill(self) -> None:
        while self.going():
            await asyncio.sleep(self.chance.uniform(*KILL))
            await self.rapport.kill()
            await self.rapport.launch()
            self.kills += 1

    async def weigh(self) -> None:
        """Memory of a Rapport that has run for a minute; one reading a second."""
        since, pid = time.monotonic(), self.rapport.pid
        while self.going():
            await asyncio.sleep(1)
            if self.rapport.pid != pid:
                since, pid = time.monotonic(), self.rapport.pid
            elif time.monotonic() - since > OLD:
                with contextlib.suppress(FileNotFoundError):
                    self.memory.append(resident(pid))

    async def compare(self) -> None:
        await eventually(self.rapport.healthy, 60, "Rapport is linked")
        total = sum(map(len, self.sent.values()))
        await eventually(self.all_answered, 60, "the team has all", every=1)
        got = self.got()
        lost = [f"{customer}: {len(got[customer])} of {len(bodies)}" for customer, bodies in self.sent.items() if got[customer] != bodies]
        await self.rapport.stop()
        with contextlib.closing(sqlite3.connect(self.rapport.storage.removeprefix("sqlite:///"))) as database:
            (facts,) = database.execute("SELECT count(*) FROM facts WHERE what = 0 AND NOT voided").fetchone()
        half = len(self.memory) // 2
        print(f"{self.kills} kills, {self.cuts} cuts of the stream")
        print(f"messages between people: {self.counted} sent, {facts} in the ledger")
        print(f"messages to the team: {total} sent; wrong at the team: {lost or 'none'}")
        if half:
            print(f"memory: at most {max(self.memory[:half]):.0f} MiB in the first half, {max(self.memory[half:]):.0f} MiB in the second")
        faults = [*self.rapport.faults(), *self.server.faults()]
        print(f"errors in the logs: {len(faults)}", *faults[:10], sep="\n  ")

    async def all_answered(self) -> bool:
        return all(len(bodies) <= len(self.got()[customer]) for customer, bodies in self.sent.items())

    def got(self) -> dict[str, list[str]]:
        """What the team got, by customer."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in TEAM:
            for each in self.people[name].received:
                body = xml.body(each)
                if body and "%shop@" in each.get("from", "") and body.partition(" ")[0] in PEOPLE:
                    found[body.partition(" ")[0]].append(body)
        return found


if __name__ == "__main__":
    asyncio.run(Soak(float(sys.argv[1]) if len(sys.argv) > 1 else 30).run())
