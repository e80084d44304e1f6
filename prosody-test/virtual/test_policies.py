"""The policies (spec/20-virtual.md, A message from a customer, 4) on a real server; their laws are in tests/rules/test_routing.py."""

from collections.abc import Awaitable, Callable

import pytest
from rig import commands
from rig.raw import RawClient
from rig.shop import Shop

Open = Callable[..., Awaitable[Shop]]
BERLIN, MUNICH, SYDNEY = (52.52, 13.40), (48.14, 11.58), (-33.87, 151.21)
GEOLOC = "http://jabber.org/protocol/geoloc"
VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0"


async def publish(client: RawClient, node: str, payload: str) -> None:
    """By PEP, for everybody."""
    options = (
        "<publish-options><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        "<field var='pubsub#access_model'><value>open</value></field></x></publish-options>"
    )
    item = f"<publish node='{node}'><item>{payload}</item></publish>"
    answer = await client.iq("set", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{item}{options}</pubsub>")
    assert answer.get("type") == "result"


def geoloc(place: tuple[float, float]) -> str:
    return f"<geoloc xmlns='{GEOLOC}'><lat>{place[0]}</lat><lon>{place[1]}</lon></geoloc>"


def member(name: str, place: tuple[float, float] | None = None, **more: object) -> dict[str, object]:
    at = {} if place is None else {"lat": place[0], "lon": place[1]}
    return {"jid": f"{name}@localhost", **at, **more}


async def once(scene: Shop, name: str, customer: str) -> None:
    """The customer has been served by this sub-user, and the conversation is closed."""
    await scene.says(customer, "first")
    await scene.gets(name, customer, "first")
    await scene.answers(name, customer, "/close")
    await scene.settled(name)


async def test_latest_is_who_had_the_customer_last(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest", "round-robin"])
    await scene.enter("ann", "ben", "cat", "dan", "eve")
    await once(scene, "ann", "cat")
    for name, customer in (("ben", "dan"), ("ann", "eve")):
        await scene.says(customer, "hello")
        await scene.gets(name, customer, "hello")
    await scene.says("cat", "again")  # ben's turn, but for latest
    await scene.gets("ann", "cat", "again")


async def test_latest_is_nobody_when_the_record_is_too_old(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["latest", "round-robin"], history_expiry="1s")
    await scene.enter("ann", "ben", "cat", "admin")
    await once(scene, "ann", "cat")
    cat = {"virtual": "shop", "try_customer": "cat@localhost"}

    async def forgotten() -> bool:
        return "ben@localhost, by round-robin" in (await commands.run(scene["admin"], "virtual-policy", cat)).text

    await scene.eventually(forgotten, "ann is not the latest any more")


async def test_nearest_by_the_place_that_a_sub_user_publishes(shop: Open) -> None:
    scene = await shop(member=[member("ann", MUNICH), member("ben", SYDNEY)], policy=["nearest"])
    ben = await scene.enter("ben")
    await scene.enter("ann", "cat")
    await publish(scene["cat"], GEOLOC, geoloc(BERLIN))
    await publish(ben, GEOLOC, geoloc(BERLIN))
    await scene.leave("ben")
    await scene.enter("ben", "dan")
    await scene.says("cat", "hello")
    await scene.gets("ben", "cat", "hello")


async def test_nearest_by_where_sub_users_are_now(shop: Open) -> None:
    scene = await shop("ann", "ben", policy=["nearest"])
    await scene.enter("ann", "ben", "cat", "admin")
    await publish(scene["cat"], GEOLOC, geoloc(BERLIN))
    tried = {"virtual": "shop", "try_customer": "cat@localhost"}
    for places, near in (((SYDNEY, MUNICH), "ben"), ((MUNICH, SYDNEY), "ann")):
        for name, place in zip(("ann", "ben"), places, strict=True):
            await publish(scene[name], GEOLOC, geoloc(place))

        async def is_near(near: str = near) -> bool:
            return f"{near}@localhost, by nearest" in (await commands.run(scene["admin"], "virtual-policy", tried)).text

        await scene.eventually(is_near, f"{near} is near")
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")


async def test_nearest_by_where_the_customer_is_now(shop: Open) -> None:
    scene = await shop(member=[member("ann", MUNICH), member("ben", SYDNEY)], policy=["nearest"])
    await scene.enter("ann", "ben", "cat", "admin")
    await once(scene, "ann", "cat")
    tried = {"virtual": "shop", "try_customer": "cat@localhost"}
    for place, near in ((BERLIN, "ann"), (SYDNEY, "ben")):
        await publish(scene["cat"], GEOLOC, geoloc(place))

        async def is_near(near: str = near) -> bool:
            return f"{near}@localhost, by nearest" in (await commands.run(scene["admin"], "virtual-policy", tried)).text

        await scene.eventually(is_near, f"{near} is near")


async def test_a_policy_that_is_set_live_asks_for_what_it_needs(shop: Open) -> None:
    scene = await shop(member=[member("ann", MUNICH), member("ben", SYDNEY)], policy=["latest"])
    admin = await scene.enter("admin")
    await scene.enter("ann", "ben", "cat")
    await publish(scene["cat"], GEOLOC, geoloc(BERLIN))
    await once(scene, "ann", "cat")
    await commands.run(admin, "virtual-policy", {"virtual": "shop", "policy": ["nearest"]})
    await scene.says("cat", "again")  # ben is idle for longer, but far away
    await scene.gets("ann", "cat", "again")


async def test_nearest_known_and_least_load_known_ask_only_those_who_know_the_customer(shop: Open) -> None:
    team = [member("ann", BERLIN), member("ben", SYDNEY), member("cid", MUNICH)]
    scene = await shop(member=team, policy=["nearest-known", "least-load-known", "nearest"])
    await scene.enter("ben", "cat", "dan", "eve")
    await publish(scene["cat"], GEOLOC, geoloc(BERLIN))
    for customer in ("cat", "dan"):
        await once(scene, "ben", customer)
    await scene.enter("ann", "cid")
    await scene.says("cat", "again")  # ann is nearest, but knows nobody
    await scene.gets("ben", "cat", "again")
    await scene.says("dan", "again")  # from nowhere; ben has more to do, but knows dan
    await scene.gets("ben", "dan", "again")
    await scene.says("eve", "hello")  # nobody knows eve, and eve is nowhere: the least load, then who is idle for longest
    await scene.gets("ann", "eve", "hello")


async def test_attributes_by_the_customers_vcard(shop: Open) -> None:
    team = [
        member("ann", attributes={"language": "fr, en", "gender": "F"}),
        member("ben", attributes={"language": "de", "skill": "maps"}),
        member("cid", attributes={"language": "de", "skill": "poetry"}),
    ]
    scene = await shop(member=team, policy=["attributes", "least-load"])
    await scene.enter("ann", "ben", "cid", "cat")
    vcard = "<lang><language-tag>de</language-tag></lang><expertise><text>Poetry</text></expertise>"
    await publish(scene["cat"], "urn:xmpp:vcard4", f"<vcard xmlns='{VCARD4}'>{vcard}</vcard>")
    await scene.says("cat", "hello")
    await scene.gets("cid", "cat", "hello")


async def test_attributes_that_an_admin_declares(shop: Open) -> None:
    team = [member("ann", attributes={"level": "junior"}), member("ben", attributes={"level": "senior", "age_range": "18-30"})]
    scene = await shop(member=team, policy=["attributes", "least-load"])
    await scene.enter("ann", "ben", "cat", "dan", "admin")
    for customer, attributes in (("cat", ["level=senior"]), ("dan", ["age=22"])):
        values = {"action": "add", "customer": f"{customer}@localhost", "attributes": attributes}
        await commands.run(scene["admin"], "virtual-customers", values)
        await scene.says(customer, "hello")
        await scene.gets("ben", customer, "hello")


async def test_random_is_anybody_who_is_there(shop: Open) -> None:
    scene = await shop("ann", "ben", "cid", policy=["random"])
    await scene.enter("ann", "ben", "admin")
    chosen = set()
    for _ in range(40):
        tried = await commands.run(scene["admin"], "virtual-policy", {"virtual": "shop", "try_customer": "cat@localhost"})
        chosen.add(tried.text.split()[1])
    assert chosen == {"ann@localhost,", "ben@localhost,"}


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        (["hours", "attributes", "least-load"], "ben"),
        (["attributes", "hours", "least-load"], "ben"),
        (["attributes", "least-load"], "ann"),
        (["nearest", "attributes"], "ann"),
    ],
)
async def test_each_policy_narrows_what_the_one_before_left_and_one_that_cannot_tell_changes_nothing(
    shop: Open, policy: list[str], served: str
) -> None:
    always, never = "Mon-Sun 00:00-24:00 UTC", "Mon 03:00-03:01 Pacific/Kiritimati"
    german = {"language": "de"}
    team = [member("ann", attributes=german, hours=never), member("ben", attributes=german, hours=always), member("cid", hours=always)]
    scene = await shop(member=team, policy=policy)
    await scene.enter("ann", "ben", "cid", "cat")
    await scene.says("cat", "hallo", **{"xml:lang": "de"})
    await scene.gets(served, "cat", "hallo")
