"""Virtual users (S3): a customer and a sub-user, each in a real client."""

from collections.abc import Awaitable, Callable

import pytest
from rig.scene import Scene
from rig.server import Contact
from rig.shop import SHOP, conversation

from clients.conftest import Desk, Picture

CAT, ANN = "cat@localhost", "ann@localhost"
VIRTUAL = {"virtual": [{"node": "shop", "name": "The Bookshop", "members": [ANN]}]}


@pytest.mark.parametrize(("customers_client", "members_client"), [("converse", "gajim"), ("gajim", "converse")])
async def test_a_customer_talks_with_the_shop_and_a_sub_user_answers(
    customers_client: str, members_client: str, stage: Callable[..., Awaitable[Scene]], desk: Desk, picture: Picture
) -> None:
    scene = await stage({"cat": [], "ann": []}, "cat/tablet", settings=VIRTUAL)
    tablet = scene["cat"]
    vcard = "<vCard xmlns='vcard-temp'><FN>Catherine Morland</FN><NICKNAME>Catherine</NICKNAME></vCard>"
    await tablet.iq("set", vcard)
    await tablet.presence(type="subscribe", to=SHOP)
    await tablet.until(lambda: [each for each in tablet.received if each.get("type") == "subscribed"], 5, "shop accepts")

    cat = await desk.log_in(customers_client, scene.server, "cat")
    await cat.sees(SHOP, "offline")
    ann = await desk.log_in(members_client, scene.server, "ann")
    await cat.sees(SHOP, "online")

    await cat.open_chat(SHOP)
    await cat.say("Do you have Udolpho?")
    await ann.open_chat(conversation(CAT))
    await ann.hears("Do you have Udolpho?", "Catherine")
    await ann.say("All four volumes.")
    seen = await cat.hears("All four volumes.", "The Bookshop")
    assert "ann" not in seen.lower()
    await cat.say("Please keep them for me.")
    await ann.hears("Please keep them for me.")
    await picture(cat, "virtual-customer")
    await picture(ann, "virtual-sub-user")


async def test_an_admin_sets_up_a_virtual_user_by_forms(kind: str, stage: Callable[..., Awaitable[Scene]], desk: Desk) -> None:
    scene = await stage({"admin": [Contact(ANN)], "ann": []}, "ann")
    admin = await desk.log_in(kind, scene.server, "admin")

    await admin.list_commands()
    await admin.execute("virtual-users")
    await admin.reads("Name that customers see")
    await admin.fill({"What to do": "add", "Node": "shop", "Name": "The Bookshop", "Available": ["online", "chat"]})
    await admin.submit()
    await admin.reads("The Bookshop", "online, chat")

    await admin.list_commands()
    await admin.execute("virtual-members")
    await admin.reads("Working hours")
    await admin.fill({"What to do": "add", "Sub-user": ANN, "Working hours": "Mon-Sun 00:00-24:00 Europe/Berlin"})
    await admin.submit()
    await admin.reads(ANN, "Europe/Berlin")

    await admin.list_commands()
    await admin.execute("virtual-policy")
    await admin.reads("Only say who would get")
    await admin.fill({"Policies": ["round-robin", "latest", "least-load"]})
    await admin.submit()
    await admin.reads("shop chooses by round-robin, latest, least-load")
