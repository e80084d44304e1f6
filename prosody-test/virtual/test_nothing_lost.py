"""Nothing is lost, doubled or out of order (spec/20-virtual.md, If it fails): customers write at a steady rate while things break."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from rig.postgres import Postgres
from rig.shop import SHOP, Shop
from rig.stream import StreamError
from rig.wait import eventually

CUSTOMERS = ("cat", "dan", "eve")
PACE = 0.03
"""Seconds between two messages of a customer."""
Open = Callable[..., Awaitable[Shop]]


class Crowd:
    """Customers who write at a steady rate, and all sessions that their sub-users had."""

    def __init__(self, scene: Shop, *members: str) -> None:
        self.scene = scene
        self.sessions = [scene[member] for member in members]
        self.written: dict[str, list[str]] = {name: [] for name in CUSTOMERS}
        """What each wrote that Rapport has: its domain answered the same session afterwards."""
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._write(name)) for name in CUSTOMERS]

    async def _write(self, name: str) -> None:
        number = 0
        while not self._stop.is_set():
            client = self.scene[name]
            try:
                await client.message(SHOP, f"{name} {number}", id=f"{name}-{number}")
                await client.ping(within=60)
                self.written[name].append(f"{name} {number}")
            except StreamError:
                await self._back(name)
            number += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), PACE)

    async def _back(self, name: str) -> None:
        """The session has ended: log in again as soon as the server is there."""

        async def entered() -> bool:
            try:
                await self.scene.enter(name)
            except (StreamError, OSError):
                return False
            return True

        await eventually(entered, 30, f"{name} is back")

    async def writes(self, more: int) -> None:
        """Wait until each has written so many more."""
        wanted = {name: len(bodies) + more for name, bodies in self.written.items()}

        def so() -> bool:
            return all(task.done() for task in self._tasks) or all(len(self.written[name]) >= wanted[name] for name in CUSTOMERS)

        await self.scene.until(so, f"each writes {more} more", within=60)

    async def comes_back(self, name: str, show: str | None = None) -> None:
        """A sub-user has a new session."""
        self.sessions.append(await self.scene.enter(name, show=show))

    async def stops(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    def got(self, customer: str) -> list[list[str]]:
        """What each session got of a customer, in order; without lines of Rapport's own."""
        of = self.scene.of(customer)
        return [[body for body in session.bodies(of) if body.startswith(f"{customer} ")] for session in self.sessions]

    async def all_arrived_once_and_in_order(self) -> None:
        """What Rapport had; more may have arrived of what it did not say to have."""

        def missing() -> dict[str, set[str]]:
            return {name: set(self.written[name]).difference(*self.got(name)) for name in CUSTOMERS}

        await self.scene.until(lambda: not any(missing().values()), "all has arrived", within=60)
        await self.scene.settled(*CUSTOMERS)
        for session in self.sessions:
            if session.error is None:
                await session.settled()
        for name in CUSTOMERS:
            for bodies in self.got(name):
                assert bodies == sorted(bodies, key=number_of)
            arrived = [body for bodies in self.got(name) for body in bodies]
            assert len(arrived) == len(set(arrived)), doubled(arrived)
            refused = [each for each in self.scene[name].received if each.get("type") == "error"]
            assert not refused


def number_of(body: str) -> int:
    return int(body.split()[1])


def doubled(bodies: Sequence[str]) -> list[str]:
    return [body for body in bodies if bodies.count(body) > 1]


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> Any:
    """Rapport's database: None for its own SQLite."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").database()


async def crowd(shop: Open, **virtual: object) -> Crowd:
    scene = await shop("ann", "ben", policy=["round-robin"], **virtual)
    await scene.enter("ann", "ben", *CUSTOMERS)
    return Crowd(scene, "ann", "ben")


async def test_rapport_is_killed_and_started_five_times(shop: Open, storage: Any) -> None:
    people = await crowd(shop, storage=storage)
    for _ in range(5):
        await people.writes(20)
        await people.scene.rapport.kill()
        await people.scene.rapport.start()
    await people.writes(20)
    await people.stops()
    await people.all_arrived_once_and_in_order()
    for name in CUSTOMERS:
        arrived = [body for bodies in people.got(name) for body in bodies]
        assert arrived == people.written[name]
        assert len([bodies for bodies in people.got(name) if bodies]) == 1, f"{name} was moved"


async def test_sub_users_leave_reconnect_and_come_again(shop: Open) -> None:
    people = await crowd(shop, absence_grace="1s")
    for name in ("ann", "ben", "ann", "ben"):
        await people.writes(10)
        await people.scene.leave(name)
        await people.writes(10)
        await people.comes_back(name)
    await people.writes(10)
    await people.stops()
    await people.all_arrived_once_and_in_order()


async def test_the_server_restarts(shop: Open) -> None:
    people = await crowd(shop)
    for _ in range(3):
        await people.writes(10)
        await people.scene.server.restart()
        await people.scene.rapport.linked()
        for name in ("ann", "ben"):
            await people.comes_back(name)
    await people.writes(10)
    await people.stops()
    await people.all_arrived_once_and_in_order()


@pytest.mark.allow_errors
async def test_the_database_is_gone_for_a_while(shop: Open, postgres: Postgres) -> None:
    people = await crowd(shop, storage=postgres.database())

    async def says_so() -> bool:
        return not await people.scene.rapport.healthy()

    for mode in ("fast", "immediate"):
        await people.writes(10)
        await asyncio.to_thread(postgres.stop, mode)
        await people.scene.eventually(says_so, "Rapport's health says so", within=20)
        await asyncio.to_thread(postgres.start)
    await people.writes(10)
    await people.stops()
    await people.all_arrived_once_and_in_order()


async def test_a_new_database_begins_to_count_anew_beside_a_server_that_remembers(shop: Open) -> None:
    scene = await shop("ann")
    await scene.enter("ann", "cat")
    await scene.says("cat", "one")
    await scene.gets("ann", "cat", "one")
    await scene.rapport.stop()
    for file in scene.rapport.dir.glob("rapport.db*"):
        file.unlink()
    await scene.rapport.start()
    await scene.says("cat", "two")
    await scene.gets("ann", "cat", "one", "two")
    await scene.answers("ann", "cat", "three")
    await scene.hears("cat", "three")
