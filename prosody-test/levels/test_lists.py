"""Contact lists by level (spec: contact levels; What may be opened, Asking)."""

from rig import commands, levels, xml

ALICE = "alice@localhost"


async def test_of_the_open_levels_1_3_and_5_one_of_level_2_sees_3_and_5_and_not_1(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 3, 5)
    two = s["level2"]
    assert set(await levels.contacts(two, ALICE, 3)) == {"level3@localhost"}
    assert set(await levels.contacts(two, ALICE, 5)) == {"level5@localhost"}
    for closed in (1, 2, 4):
        answer = await two.iq("get", levels.roster_query(closed), levels.face(ALICE))
        assert xml.condition(answer) == "forbidden"
    assert set(await levels.contacts(two, ALICE)) == {"level3@localhost", "level5@localhost"}


async def test_a_listed_contact_has_a_group_for_level_and_labels_and_a_name_only_if_names_are_shared(around_alice):
    s = await around_alice()
    label = {"contact": "level4@localhost", "labels": ["colleague", "chess"], "level": "4", "pin": True}
    await commands.run(s["alice"], "label", label)
    await levels.open_door(s["alice"], "contacts", 4)
    assert await levels.contacts(s["level1"], ALICE) == {"level4@localhost": (None, ["Level 4", "colleague", "chess"])}
    await levels.open_door(s["alice"], "contacts", 4, share_names=True)
    assert await levels.contacts(s["level1"], ALICE) == {"level4@localhost": ("Level4", ["Level 4", "colleague", "chess"])}


async def test_a_list_leaves_out_whoever_asks(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 1, 2, 3, 4, 5)
    assert set(await levels.contacts(s["level3"], ALICE)) == {"level4@localhost", "level5@localhost"}
    assert await levels.contacts(s["level3"], ALICE, 3) == {}
