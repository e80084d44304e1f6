"""Work for one key in order, keys side by side."""

import asyncio

from component.lanes import Lanes


async def test_work_of_one_key_is_done_in_order_and_other_keys_do_not_wait() -> None:
    lanes, done, gate = Lanes("test"), [], asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        done.append("slow")

    async def quick(name: str) -> None:
        done.append(name)
        if name == "other":
            gate.set()

    lanes.put("a", slow)
    lanes.put("a", lambda: quick("after"))
    lanes.put("b", lambda: quick("other"))
    await lanes.drain()
    assert done == ["other", "slow", "after"]


async def test_a_fault_in_one_work_does_not_stop_its_lane() -> None:
    lanes, done = Lanes("test"), []

    async def fault() -> None:
        raise ValueError("broken")

    async def after() -> None:
        done.append("after")

    lanes.put("a", fault)
    lanes.put("a", after)
    await lanes.drain()
    assert done == ["after"]


async def test_only_so_many_lanes_run_at_a_time_and_all_get_their_turn() -> None:
    lanes, running, most = Lanes("test", 3), 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1

    for number in range(20):
        lanes.put(f"user {number % 10}", work)
    await lanes.idle("user 9")
    assert most == 3
    lanes.put("late", work)
    await lanes.drain()
    await lanes.idle("late")
    assert (running, most) == (0, 3)
