"""`[http]`: what whoever watches gets."""

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from rig.wait import free_ports

from component.web.server import Metric, Web

METRICS = [
    Metric("rapport_forgeries_total", "Stanzas that pretended to be the link's", 3, counts=True),
    Metric("rapport_sessions", "Available sessions", 2, (("host", "example.org"),)),
    Metric("rapport_sessions", "Available sessions", 0, (("host", 'odd "host"'),)),
]


class Watched:
    def __init__(self, port: int) -> None:
        self.parts = {"stream": True, "storage": True}
        self.web = Web(self.health, lambda: METRICS)
        self.port = port

    async def health(self) -> Mapping[str, bool]:
        return self.parts


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    one = Watched(free_ports(1)[0])
    await one.web.start("127.0.0.1", one.port)
    yield one
    await one.web.stop()


async def asked(watched: Watched, path: str, method: str = "GET") -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{watched.port}{path}") as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_health_names_each_part_and_is_503_if_one_fails(watched: Watched) -> None:
    assert await asked(watched, "/health") == (
        200,
        "application/json; charset=utf-8",
        '{"healthy": true, "parts": {"stream": true, "storage": true}}',
    )
    watched.parts["storage"] = False
    status, _, text = await asked(watched, "/health")
    assert (status, text) == (503, '{"healthy": false, "parts": {"stream": true, "storage": false}}')


async def test_metrics_are_in_the_text_format_of_prometheus(watched: Watched) -> None:
    status, kind, text = await asked(watched, "/metrics")
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert text.splitlines() == [
        "# HELP rapport_forgeries_total Stanzas that pretended to be the link's",
        "# TYPE rapport_forgeries_total counter",
        "rapport_forgeries_total 3.0",
        "# HELP rapport_sessions Available sessions",
        "# TYPE rapport_sessions gauge",
        'rapport_sessions{host="example.org"} 2.0',
        'rapport_sessions{host="odd \\"host\\""} 0.0',
    ]


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/healthy", "GET", 404), ("/health", "POST", 405)])
async def test_there_is_nothing_else(watched: Watched, path: str, method: str, status: int) -> None:
    assert (await asked(watched, path, method))[0] == status


async def test_an_address_that_is_taken_is_an_error(watched: Watched) -> None:
    another = Watched(watched.port)
    with pytest.raises(OSError, match="in use"):
        await another.web.start("127.0.0.1", watched.port)
    await another.web.stop()
