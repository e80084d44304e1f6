"""Commands of S3 (spec/20-virtual.md) by form, by chat and at the command line, on a real server."""

from collections.abc import Awaitable, Callable

import pytest
from rig import commands, xml
from rig.shop import SHOP, Shop, conversation

Open = Callable[..., Awaitable[Shop]]


async def test_an_admin_adds_a_virtual_user_and_its_team_while_it_runs(shop: Open) -> None:
    scene = await shop("ann")
    admin, cat = await scene.enter("admin"), await scene.enter("cat")
    await scene.enter("ann", "ben")
    help_ = "help@rapport.localhost"
    await commands.run(admin, "virtual-users", {"action": "add", "node": "help", "name": "Help Desk"})
    await commands.run(admin, "virtual-members", {"virtual": "help", "action": "add", "member": "ben@localhost", "capacity": "1"})
    listed = await commands.run(admin, "virtual-users", {"action": "list"})
    assert [label for label, _ in listed.rows] == ["help", "shop"]
    members = await commands.run(admin, "virtual-members", {"virtual": "help", "action": "list"})
    assert [label for label, _ in members.rows] == ["ben@localhost"]
    await cat.message(help_, "please help")
    address = conversation("cat@localhost", "help")
    await scene["ben"].until(lambda: scene["ben"].bodies(address) == ["please help"] or None, what="ben gets it")
    await scene.rapport.restart()
    await cat.message(help_, "still there?")
    await scene["ben"].until(lambda: scene["ben"].bodies(address)[-1] == "still there?" or None, what="it is kept")
    await commands.run(admin, "virtual-users", {"action": "remove", "node": "help"})
    sent = await cat.message(help_, "gone?")
    answer = await cat.expect(lambda each: each.get("id") == sent and each.get("type") == "error")
    assert xml.condition(answer) == "item-not-found"


@pytest.mark.parametrize(
    ("node", "values", "named"),
    [
        ("virtual-users", {"action": "add", "node": "shop", "name": "x"}, "node"),
        ("virtual-users", {"action": "add", "node": "rapport", "name": "x"}, "node"),
        ("virtual-users", {"action": "add", "node": "a%b", "name": "x"}, "node"),
        ("virtual-users", {"action": "add", "node": "new"}, "name"),
        ("virtual-users", {"action": "remove", "node": "shop"}, "node"),
        ("virtual-users", {"action": "edit", "node": "nope"}, "node"),
        ("virtual-users", {"action": "edit", "node": "shop", "history_expiry": "soon"}, "history_expiry"),
        ("virtual-users", {"action": "edit", "node": "shop", "answer_within": "soon"}, "answer_within"),
        ("virtual-users", {"action": "edit", "node": "shop", "answer_within": "100d"}, "answer_within"),
        ("virtual-members", {"virtual": "shop", "action": "add", "member": "ann@localhost"}, "member"),
        ("virtual-members", {"virtual": "shop", "action": "edit", "member": "cid@localhost"}, "member"),
        ("virtual-members", {"virtual": "shop", "action": "edit", "member": "ann@localhost", "hours": "always"}, "hours"),
        ("virtual-members", {"virtual": "shop", "action": "edit", "member": "ann@localhost", "lat": "10"}, "lon"),
        ("virtual-members", {"virtual": "shop", "action": "edit", "member": "ann@localhost", "attributes": ["german"]}, "attributes"),
        ("virtual-policy", {"virtual": "shop", "policy": ["luck"]}, "policy"),
        ("virtual-policy", {"virtual": "shop", "policy": ["random"], "try_customer": "latest"}, "try_customer"),
        ("transfer", {"virtual": "shop", "customer": "cat@localhost", "to": "ann@localhost"}, "customer"),
    ],
)
async def test_a_wrong_value_comes_back_with_the_field_named(shop: Open, node: str, values: commands.Values, named: str) -> None:
    scene = await shop("ann")
    admin = await scene.enter("admin")
    answer = await commands.submit(admin, await commands.execute(admin, node), values)
    assert answer.status == "executing"
    assert [kind for kind, _ in answer.notes] == ["error"]
    assert named in answer.notes[0][1] or named in answer.text


async def test_settings_changed_live_hold_at_once_and_after_a_restart(shop: Open) -> None:
    scene = await shop("ann", "ben")
    admin, cat = await scene.enter("admin"), await scene.enter("cat")
    await commands.run(admin, "virtual-users", {"action": "edit", "node": "shop", "when_offline": "bounce"})
    for _ in range(2):
        sent = await cat.message(SHOP, "hello")
        answer = await cat.expect(lambda each, sent=sent: each.get("id") == sent and each.get("type") == "error")
        assert xml.condition(answer) == "recipient-unavailable"
        await scene.rapport.restart()
    await commands.run(admin, "virtual-users", {"action": "edit", "node": "shop", "available_shows": ["online"]})
    await scene.enter("ann", show="away")
    sent = await cat.message(SHOP, "hello")
    await cat.expect(lambda each: each.get("id") == sent and each.get("type") == "error")


async def test_policies_are_changed_live_and_tried_without_any_change(shop: Open) -> None:
    scene = await shop("ann", "ben")
    admin = await scene.enter("admin")
    await scene.enter("ann", "ben", "cat")
    await commands.run(admin, "virtual-policy", {"virtual": "shop", "policy": ["round-robin", "latest"]})
    for _ in range(2):
        tried = await commands.run(admin, "virtual-policy", {"virtual": "shop", "try_customer": "cat@localhost"})
        assert "ann@localhost" in tried.text
        assert ("ben@localhost", "equal in all else, and later by JID") in tried.rows
    by_others = {"virtual": "shop", "policy": ["nearest", "random"], "try_customer": "cat@localhost"}
    assert "by random" in (await commands.run(admin, "virtual-policy", by_others)).text
    assert "round-robin, latest" in (await commands.run(admin, "virtual-policy", {"virtual": "shop"})).text
    assert (await commands.run(admin, "conversations", {"virtual": "shop"})).rows == []


async def test_a_member_sees_and_hands_over_conversations_and_pauses(shop: Open) -> None:
    scene = await shop("ann", "ben")
    await scene.enter("ann", "ben", "cat", "dan")
    ann = scene["ann"]
    await scene.says("cat", "hello")
    await scene.gets("ann", "cat", "hello")
    assert [label for label, _ in (await commands.run(ann, "my-conversations")).rows] == ["cat@localhost"]
    (row,) = (await commands.run(ann, "conversations", {"virtual": "shop"})).rows
    assert row[0] == "cat@localhost"
    assert "ann@localhost" in row[1]
    await commands.run(ann, "transfer", {"virtual": "shop", "customer": "cat@localhost", "to": "ben@localhost"})
    await scene.says("cat", "two")
    await scene.gets("ben", "cat", "two")
    await commands.run(ann, "pause", {"paused": True})
    await scene.says("dan", "hello")
    await scene.gets("ben", "dan", "hello")
    await commands.run(ann, "pause", {"paused": False})


async def test_an_admin_sees_who_waits_and_hands_over(shop: Open) -> None:
    scene = await shop("ann", "ben", absence_grace="0s")
    admin = await scene.enter("admin")
    await scene.enter("cat", "dan")
    for body in ("one", "two"):
        await scene.says("cat", body)
    await scene["cat"].until(lambda: scene["cat"].bodies(SHOP), what="cat is told to wait")
    await scene.settled("cat")
    ((customer, waits),) = (await commands.run(admin, "conversations", {"virtual": "shop"})).rows
    assert customer == "cat@localhost"
    assert waits.startswith("nobody, since ")
    assert waits.endswith(", waiting 2")
    await scene.enter("ann", "ben")
    await scene.gets("ann", "cat", "one", "two")
    for to in ("dan@localhost", "ann@localhost"):
        form = await commands.execute(admin, "transfer")
        refused = await commands.submit(admin, form, {"virtual": "shop", "customer": "cat@localhost", "to": to})
        assert refused.status == "executing"
    handed = await commands.run(admin, "transfer", {"virtual": "shop", "customer": "cat@localhost", "to": "ben@localhost"})
    assert "cat@localhost is handed to ben@localhost" in handed.text
    await scene.says("cat", "three")
    await scene.gets("ben", "cat", "three")


async def test_what_may_be_empty_is_emptied(shop: Open) -> None:
    scene = await shop(member=[{"jid": "ann@localhost", "hours": "Mon-Fri 09:00-17:00 UTC", "attributes": {"level": "senior"}}])
    admin = await scene.enter("admin")
    edit = {"action": "edit", "node": "shop"}
    assert "answer within 5m" in (await commands.run(admin, "virtual-users", {**edit, "answer_within": "5m"})).text
    assert "answer within 5m" in (await commands.run(admin, "virtual-users", {**edit, "name": "The Library"})).text
    assert "answer at any time" in (await commands.run(admin, "virtual-users", {**edit, "answer_within": "off"})).text
    ann = {"virtual": "shop", "action": "edit", "member": "ann@localhost"}
    kept = await commands.run(admin, "virtual-members", {**ann, "capacity": "2"})
    assert "Mon-Fri 09:00-17:00 UTC" in kept.text
    assert "level=senior" in kept.text
    emptied = await commands.run(admin, "virtual-members", {**ann, "hours": "none", "attributes": ["none"]})
    assert emptied.rows == [("ann@localhost", "not available, 0 of 2 conversations")]


async def test_others_see_none_of_these_commands(shop: Open) -> None:
    scene = await shop("ann")
    cat, ann = await scene.enter("cat"), await scene.enter("ann")
    for client, refused in (
        (cat, ("virtual-users", "virtual-members", "virtual-policy", "conversations", "transfer", "my-conversations", "pause")),
        (ann, ("virtual-users", "virtual-members", "virtual-policy")),
    ):
        for node in refused:
            with pytest.raises(commands.CommandError):
                await commands.execute(client, node)


async def test_the_same_by_chat_and_at_the_command_line(shop: Open) -> None:
    scene = await shop("ann")
    admin = await scene.enter("admin")
    assert "help is added" in await commands.say(admin, "virtual-users add help 'Help Desk'")
    assert "ben@localhost is added" in await commands.say(admin, "virtual-members add help ben@localhost capacity=2")
    listed = await scene.rapport.cli("admin", "virtual-users", "list")
    assert listed.returncode == 0, listed.stderr
    assert "Help Desk" in listed.stdout
    changed = await scene.rapport.cli("admin", "virtual-policy", "--virtual", "help", "--policy", "random")
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert "random" in changed.stdout
    for words in (
        ["help", "random", "latest"],
        ["--virtual", "help", "--policy", "random,latest"],
        ["help", "--policy", "random", "latest"],
    ):
        ordered = await scene.rapport.cli("admin", "virtual-policy", *words)
        assert "help chooses by random, latest." in ordered.stdout, ordered.stderr
    tried = await scene.rapport.cli("admin", "virtual-policy", "help", "--try-customer", "cat@localhost")
    assert "Nobody can take it." in tried.stdout
    usage = await scene.rapport.cli("admin", "virtual-members", "--help")
    assert usage.returncode == 0
    assert "--capacity" in usage.stdout
