"""Alarms: one per key, never before their instant."""

import asyncio
import tracemalloc

from component.clock import SystemClock


async def test_an_alarm_rings_at_its_instant_and_not_before() -> None:
    clock, rung = SystemClock(), asyncio.get_running_loop().create_future()
    at = clock.now() + 0.05
    clock.alarm("a", at, lambda: rung.set_result(clock.now()))
    assert await asyncio.wait_for(rung, 5) >= at


async def test_a_key_has_one_alarm_the_last_one_set() -> None:
    clock, rung, done = SystemClock(), [], asyncio.Event()
    soon = clock.now() + 0.02
    clock.alarm("a", soon, lambda: rung.append("first"))
    clock.alarm("a", soon + 0.02, lambda: rung.append("second"))
    clock.alarm("b", soon, lambda: rung.append("taken back"))
    clock.alarm("b", None, lambda: None)
    clock.alarm("c", soon + 0.04, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert rung == ["second"]


async def test_an_alarm_of_the_past_rings_at_once() -> None:
    clock, done = SystemClock(), asyncio.Event()
    clock.alarm("a", clock.now() - 10, done.set)
    await asyncio.wait_for(done.wait(), 5)


async def test_alarms_set_anew_again_and_again_are_not_kept() -> None:
    clock, rung = SystemClock(), asyncio.get_running_loop().create_future()
    now = clock.now()
    clock.alarm("soon", now + 0.5, lambda: rung.set_result(True))
    tracemalloc.start()
    for number in range(50_000):
        clock.alarm(f"user {number % 10}", now + 3600 + number, lambda: None)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000
    assert await asyncio.wait_for(rung, 5)
