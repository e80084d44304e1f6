"""Faults known from the field: the server goes, comes back, refuses, or grants less than it did (cases A17, A20)."""

import asyncio
import contextlib
import re
from pathlib import Path

import pytest
import rig
from rig import commands, xml
from rig.component import RawComponent
from rig.scene import Scene
from rig.wait import eventually, until

SHOP = {"virtual": [{"node": "shop", "name": "The Bookshop", "members": ["ann@localhost"]}]}
OTHER_VERSION = Path(rig.__file__).parent / "plugins_other_version"


@pytest.mark.allow_errors
async def test_a_dead_server_is_not_hammered_and_found_again(scene):
    s = await scene("alice", "bob")
    port = s.server.component_port
    await s.server.kill()
    attempts: list[float] = []
    loop = asyncio.get_running_loop()

    def attempt(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(loop.time())
        writer.close()

    stand_in = await asyncio.start_server(attempt, "127.0.0.1", port)
    with contextlib.suppress(TimeoutError):
        await until(lambda: len(attempts) >= 12, 20)
    stand_in.close()
    assert 2 <= len(attempts) < 12
    # One line for the loss; the stand-in adds no more than one for each way in which it can be seen to close.
    assert len(s.rapport.log_lines(r"(?i)WARNING.*stream")) <= 3
    await s.server.start()
    await s.rapport.linked(within=60)


async def test_a_second_rapport_with_the_same_jid_leaves_the_first_alone_and_says_why(scene, rapport):
    s = await scene("alice", "bob")
    second = await rapport(s.server, start=False)
    await second.launch()
    await until(lambda: second.log_lines("conflict"), 20)
    assert second.running
    for _ in range(3):
        assert await commands.say(s["alice"], "help")
    assert s.rapport.log_lines("conflict") == []
    await s.rapport.stop()
    await second.linked(within=60)


async def test_check_with_a_wrong_secret_names_the_servers_option(server, rapport):
    one = await rapport(server, {"component": {"secret": "not-the-secret"}}, start=False)
    done = await one.cli("check")
    assert done.returncode not in (0, 2)
    assert "component_secret" in done.stdout + done.stderr
    assert "not-the-secret" not in done.stdout + done.stderr


async def test_check_before_the_start_tells_of_an_address_that_is_taken(server, rapport):
    one = await rapport(server, start=False)
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", one.http_port)
    done = await one.cli("check")
    assert done.returncode == 1
    assert re.search(r"http +FAILS.*\[http\] listen", done.stdout)
    taken.close()
    await taken.wait_closed()
    done = await one.cli("check")
    assert done.returncode == 0, done.stdout


async def test_check_beside_a_running_rapport_passes_and_disturbs_nobody(scene):
    s = await scene("alice", "bob")
    done = await s.rapport.cli("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert await commands.say(s["alice"], "help")
    assert s.server.log_lines("omponent disconnected: rapport") == []


async def test_without_the_module_check_fails_the_link_and_the_shop_still_works(scene):
    s = await scene("ann", "bob", module=False, settings=SHOP)
    done = await s.rapport.cli("check")
    assert done.returncode not in (0, 2)
    assert re.search(r"(?i)link.*", done.stdout)
    assert "modules_enabled" in done.stdout or "rapport_component" in done.stdout
    assert (await s["bob"].iq("get", f"<query xmlns='{xml.DISCO_INFO}'/>", "rapport.localhost")).get("type") == "result"
    # Without the link a sub-user's presence comes by subscription.
    await s["ann"].expect(lambda stanza: stanza.get("type") == "subscribe")
    asked = next(each for each in s["ann"].received if each.get("type") == "subscribe")
    await s["ann"].presence(to=asked.get("from"), type="subscribed")
    await s["bob"].message("shop@rapport.localhost", "do you have it?")
    await s["ann"].until(lambda: s["ann"].bodies(r"bob\40localhost%shop@rapport.localhost") == ["do you have it?"])


@pytest.mark.allow_errors
async def test_the_module_refuses_a_component_of_another_link_version_and_logs_both(make_server):
    server = await make_server()
    async with RawComponent(server) as component:
        await component.connect()
        await component.link("<hello version='7'/>")
        refused = await component.expect_notice("refused", "hello")
        assert (xml.name(refused), refused.get("version"), refused.get("asked")) == ("refused", "0", "7")
    await until(lambda: server.log_lines(r"(?i)version ['\"]7['\"].*(version|module) ['\"]0['\"]"), what="both versions in the log")


@pytest.mark.only_on("prosody", reason="the rig has a module of another version for Prosody")
@pytest.mark.allow_errors
async def test_rapport_logs_both_versions_when_the_module_refuses_it(make_server, rapport):
    server = await make_server(extra=f'plugin_paths = {{ "{OTHER_VERSION}" }}')
    one = await rapport(server, start=False)
    await one.launch()
    await one.answering()
    await until(lambda: [line for line in one.log_lines("(?i)version") if "8" in line and "0" in line], 10)
    assert one.running
    assert (await one.cli("check")).returncode not in (0, 2)


@pytest.mark.allow_errors
async def test_a_module_that_is_unloaded_and_loaded_again_needs_no_restart_of_rapport(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s.server.unload_module()
    await s["alice"].presence("away")
    await s["bob"].sees("alice@localhost", "away")
    await s.server.load_module()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd", within=30)
    await s.server.reload_module()
    await s["alice"].message("carol@localhost", "read")
    await s["bob"].sees("alice@localhost", "away", within=30)


async def test_the_order_of_starting_does_not_matter(make_server, rapport, client):
    server = await make_server()
    await server.stop()
    one = await rapport(server, start=False)
    await one.launch()
    await server.start()
    await one.linked(within=60)
    s = Scene(server, one, client)
    await s.enter("alice", "bob")
    await s.set_rules()
    await s["bob"].message("alice@localhost", "hello")
    await s["bob"].sees("alice@localhost", "away")


@pytest.mark.allow_errors
async def test_a_database_that_is_gone_is_told_by_check_and_health_and_comes_back_by_itself(scene, postgres):
    s = await scene("alice", storage=postgres.database())
    assert await s.rapport.healthy()
    await asyncio.to_thread(postgres.stop)
    try:
        assert not await s.rapport.healthy()
        gone = await s.rapport.cli("check")
        assert gone.returncode not in (0, 2)
        assert re.search(r"storage +FAILS.*\[storage\] url", gone.stdout)
        assert re.search(r"stream +ok", gone.stdout)
    finally:
        await asyncio.to_thread(postgres.start)
    await eventually(s.rapport.healthy, 20, "Rapport is healthy again")
    assert (await s.rapport.cli("check")).returncode == 0
    assert (await commands.say(s["alice"], "presence on", within=20)).startswith("Presence rules are on")
