import asyncio
import os
from pathlib import Path

import pytest
from aiohttp import web

from component.cli import ask
from tests.cli.running import answering


async def commands(_request: web.Request) -> web.Response:
    return web.json_response([{"node": "presence"}])


async def test_a_question_is_answered(tmp_path: Path) -> None:
    async with answering(tmp_path / "x.sock", web.get("/commands", commands)):
        assert await ask.get(tmp_path / "x.sock", "/commands") == [{"node": "presence"}]


async def test_a_socket_may_lie_deeper_than_its_address_can_tell(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with answering(deep / "x.sock", web.get("/commands", commands)):
        assert (deep / "x.sock").is_socket()
        assert await ask.get(deep / "x.sock", "/commands") == [{"node": "presence"}]


async def test_a_refusal_names_the_field(tmp_path: Path) -> None:
    async def refuse(request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response({"error": f"{asked['node']} can't", "field": "name"}, status=400)

    async with answering(tmp_path / "x.sock", web.post("/command", refuse)):
        with pytest.raises(ask.Failed, match=r"^name: presence can't$"):
            await ask.post(tmp_path / "x.sock", "/command", {"node": "presence"})


async def test_an_answer_that_is_none_of_ours_is_told_by_its_status(tmp_path: Path) -> None:
    async with answering(tmp_path / "x.sock"):
        with pytest.raises(ask.Failed, match="404"):
            await ask.get(tmp_path / "x.sock", "/commands")


async def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    seen = asyncio.Event()

    async def steps(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"done": 1}\n')
        await asyncio.wait_for(seen.wait(), 10)
        await response.write(b'{"done": 2}\n')
        return response

    done = []
    async with answering(tmp_path / "x.sock", web.post("/import", steps)):
        async for step in ask.stream(tmp_path / "x.sock", "/import", {"users": []}):
            done.append(step["done"])
            seen.set()
    assert done == [1, 2]


async def test_a_component_that_ends_in_the_middle_is_told(tmp_path: Path) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"done": 1}\n')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with answering(tmp_path / "x.sock", web.post("/import", cut)):
        with pytest.raises(ask.Failed, match="ended before"):
            _ = [step async for step in ask.stream(tmp_path / "x.sock", "/import", {})]


async def test_no_socket_and_a_dead_one_mean_that_nothing_runs(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.sock", tmp_path / "none" / ("d" * 120) / "none.sock"):
        with pytest.raises(ask.NotRunning, match="rapport run"):
            await ask.get(missing, "/check")
    async with answering(tmp_path / "x.sock"):
        os.link(tmp_path / "x.sock", tmp_path / "dead.sock")
    with pytest.raises(ask.NotRunning):
        await ask.get(tmp_path / "dead.sock", "/check")
