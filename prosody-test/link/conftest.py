"""Fixtures for the stories of the link: a private server and a component by hand that speaks it."""

from collections.abc import Awaitable, Callable

import pytest
from rig.component import RawComponent
from rig.server import Server


@pytest.fixture
async def linked(component: Callable[..., Awaitable[RawComponent]]) -> Callable[..., Awaitable[RawComponent]]:
    """`await linked(server, "alice")`: a component whose link with the first host is up, with alice gated."""

    async def make(server: Server, *gated: str) -> RawComponent:
        made = await component(server)
        await made.start(*gated)
        return made

    return make
