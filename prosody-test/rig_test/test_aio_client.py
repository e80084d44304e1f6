"""An aioxmpp client works beside a raw one."""

import pytest
from rig.aio import AioClient


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_aioxmpp_client_and_a_raw_one_see_each_others_presence_and_messages(server, client):
    bob = await client(server, "bob@localhost/raw")
    async with AioClient(server, "alice@localhost/aio") as alice:
        await bob.sees("alice@localhost", "online")
        await bob.presence("xa")
        await alice.sees("bob@localhost/raw", "xa")
        await alice.message("bob@localhost", "from aioxmpp")
        await bob.until(lambda: bob.bodies("alice@localhost") == ["from aioxmpp"])
        await bob.message("alice@localhost", "from raw")
        await alice.hears("bob@localhost", "from raw")
    await bob.sees("alice@localhost", "offline")
