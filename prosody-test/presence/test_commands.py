"""S0's commands as people give them: names for JIDs, odd durations, rules that are off (spec: Commands)."""

from rig import commands
from rig.server import Contact, Host


def people() -> list[Host]:
    back = [Contact("alice@localhost")]
    roster = [
        Contact("bob@localhost", name="Bobby Tables", groups=("Work Mates",)),
        Contact("carol@localhost", name="Carol"),
        Contact("carol@other.localhost", name="Carol of the other host"),
    ]
    return [
        Host(users={"alice": roster, "bob": back, "carol": back}),
        Host("other.localhost", {"carol": back}),
    ]


async def test_a_contact_can_be_named_by_local_part_or_roster_name(scene):
    s = await scene("alice", "bob", "carol", hosts=people())
    alice = s["alice"]
    await s.set_rules()
    await commands.say(alice, "always bob xa")
    await s["bob"].sees("alice@localhost", "xa")
    for line in ("why bob", "why Bobby Tables", "why BOB@localhost/phone", "/why 'bobby tables'"):
        assert "bob@localhost" in await commands.say(alice, line)
        assert "xa" in await commands.say(alice, line)
    await commands.say(alice, "always 'Bobby Tables' dnd")
    await s["bob"].sees("alice@localhost", "dnd")
    form = await commands.run(alice, "explain", {"contact": "Bobby Tables"})
    assert "dnd" in form.text
    told = await s.rapport.cli("explain", "alice@localhost", "bobby tables")
    assert told.returncode == 0, told.stderr
    assert "bob@localhost" in told.stdout
    assert "dnd" in told.stdout


async def test_a_name_that_is_nobodys_or_several_peoples_is_refused_and_says_so(scene):
    s = await scene("alice", "carol", hosts=people())
    alice = s["alice"]
    await s.set_rules()
    for line in ("why zoe", "always zoe dnd"):
        assert "'zoe' is no contact" in await commands.say(alice, line)
    # A local part and a name of one contact, but a local part of another, too.
    for line in ("why carol", "always carol dnd"):
        answer = await commands.say(alice, line)
        assert "carol@localhost" in answer
        assert "carol@other.localhost" in answer
        assert "may be" in answer
    again = await commands.submit(alice, await commands.execute(alice, "explain"), {"contact": "zoe"})
    assert (again.status, [kind for kind, _ in again.notes]) == ("executing", ["error"])
    told = await s.rapport.cli("explain", "alice@localhost", "zoe")
    assert (told.returncode, told.stdout) == (1, "")
    assert "'zoe' is no contact" in told.stderr
    await s.settled()
    assert set(s["carol"].saw("alice@localhost")) == {"online"}


async def test_a_group_is_found_whatever_its_case(scene):
    s = await scene("alice", "bob", hosts=people())
    await s.set_rules()
    assert "group:Work Mates" in await commands.say(s["alice"], "always GROUP:'work mates' away")
    await s["bob"].sees("alice@localhost", "away")


async def test_a_rule_for_longer_than_anybody_lives_is_refused_and_breaks_nothing(scene):
    s = await scene("alice", "bob")
    await s.set_rules()
    alice = s["alice"]
    assert "(for)" in await commands.say(alice, "always bob dnd 999999999d")
    form = await commands.execute(alice, "presence-always")
    again = await commands.submit(alice, form, {"who": "bob", "outcome": "dnd", "for": "999999999d"})
    assert (again.status, [kind for kind, _ in again.notes]) == ("executing", ["error"])
    assert "bob@localhost: dnd" in await commands.say(alice, "always bob dnd 36500d")
    await s["bob"].sees("alice@localhost", "dnd")


async def test_who_sets_a_rule_while_the_rules_are_off_is_told_that_they_are(scene):
    s = await scene("alice", "bob")
    assert "rules are off" in await commands.say(s["alice"], "always bob dnd")
    assert "rules are off" in await commands.say(s["alice"], "why bob")
    await s.settled()
    assert s["bob"].saw("alice@localhost") == ["online"]
    assert "rules are off" not in await commands.say(s["alice"], "presence on")
    await s["bob"].sees("alice@localhost", "dnd")
