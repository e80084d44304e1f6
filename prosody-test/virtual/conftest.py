"""The scene of S3's stories."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from rig.raw import RawClient
from rig.server import Contact, Host
from rig.shop import Shop


@pytest.fixture
async def shop(
    make_server: Callable[..., Awaitable[Any]],
    rapport: Callable[..., Awaitable[Any]],
    client: Callable[..., Awaitable[RawClient]],
) -> Callable[..., Awaitable[Shop]]:
    """`await shop("ann", "ben", policy=["round-robin"])`: a running shop@rapport.localhost with these sub-users, nobody online.

    Keywords are the keys of `[[virtual]]`; `also`: more accounts; `rosters`: account → contacts; `storage`: a URL.
    """

    async def make(
        *members: str,
        also: Sequence[str] = (),
        rosters: dict[str, Sequence[Contact]] | None = None,
        server: Any = None,
        storage: str | None = None,
        **virtual: Any,
    ) -> Shop:
        if server is None:
            people = {name: [] for name in ("ann", "ben", "cid", "cat", "dan", "eve", "admin", *also)}
            server = await make_server([Host(users={**people, **(rosters or {})})])
        table: dict[str, Any] = {"node": "shop", "name": "The Bookshop", **virtual}
        if members:
            table["members"] = [name if "@" in name else f"{name}@localhost" for name in members]
        return Shop(server, await rapport(server, {"virtual": [table]}, storage=storage), client)

    return make
