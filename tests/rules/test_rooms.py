"""What a message in a room says, and whom it names."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.facts import ArchiveId, Kind, Read, RoomMessage, RoomRead
from component.rules.messages import Delay, Tapped
from component.rules.rooms import Member, Said, has_word, read_state, room_facts

ROOM = "talk@rooms.h"
AT = 1_577_836_800.0
TAPPED = Tapped("alice@h", ROOM, AT, "m1", "groupchat", body=True)
SAID = Said(TAPPED, "hello", members=(Member("alice@h", "Alice"), Member("bob@h", "Bob"), Member("carol@h")))
MESSAGE = RoomMessage("alice@h", ROOM, AT, "m1")


def facts(said: Said = SAID, **tapped: object) -> tuple[RoomMessage | RoomRead, ...]:
    return room_facts(replace(said, tapped=replace(said.tapped, **tapped)))  # type: ignore[arg-type]  # by name, as the tests say


def test_a_message_is_one_of_its_author_to_the_room() -> None:
    assert facts() == (MESSAGE,)


def test_its_id_is_that_of_the_rooms_archive() -> None:
    archive = ArchiveId(ROOM, "a1")
    assert facts(archives=(ArchiveId("mallory@x", "a0"), archive)) == (replace(MESSAGE, archive=archive),)


@pytest.mark.parametrize(
    "tapped",
    [
        {"body": False},
        {"replaces": "m0"},
        {"retracts": True},
        {"carbon": True},
        {"mam": True},
        {"body": False, "omemo": False, "encryption": True},
        {"delays": (Delay("2019-12-31T00:00:00Z", "h"),)},
    ],
    ids=lambda tapped: next(iter(tapped)),
)
def test_what_is_no_new_message_is_none(tapped: dict[str, object]) -> None:
    assert facts(**tapped) == ()


@pytest.mark.parametrize(
    ("tapped", "kind"),
    [({"attention": True, "file": True}, Kind.ATTENTION), ({"invite": True}, Kind.INVITE), ({"file": True}, Kind.FILE), ({}, Kind.GROUP)],
)
def test_it_has_a_kind(tapped: dict[str, object], kind: Kind) -> None:
    assert facts(**tapped) == (replace(MESSAGE, kind=kind),)


def test_a_displayed_marker_is_read_in_the_room() -> None:
    assert facts(body=False, displayed="a1") == (RoomRead("alice@h", ROOM, AT, "a1"),)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"text": "Bob: look"}, (("bob@h", Kind.MENTION),)),
        ({"text": "well, BOB!"}, (("bob@h", Kind.MENTION),)),
        ({"text": "Bobby and kebob"}, ()),
        ({"text": "Alice am I"}, ()),
        ({"references": ("carol@h",)}, (("carol@h", Kind.MENTION),)),
        ({"references": (f"{ROOM}/Bob", "dave@x")}, (("bob@h", Kind.MENTION),)),
        ({"answers": f"{ROOM}/Bob"}, (("bob@h", Kind.REPLY),)),
        ({"answers": "carol@h"}, (("carol@h", Kind.REPLY),)),
        ({"answers": f"{ROOM}/Alice"}, ()),
        ({"answers": f"{ROOM}/Bob", "text": "Bob, yes"}, (("bob@h", Kind.MENTION),)),
        ({"text": "Bob", "references": ("carol@h",)}, (("bob@h", Kind.MENTION), ("carol@h", Kind.MENTION))),
    ],
)
def test_it_names_members_by_nick_reference_or_reply(changed: dict[str, object], named: tuple[tuple[str, Kind], ...]) -> None:
    said = replace(SAID, **changed)  # type: ignore[arg-type]  # as above
    assert facts(said) == (replace(MESSAGE, named=named),)


def test_of_two_nicks_of_one_user_the_mention_counts() -> None:
    nicks = (Member("bob@h", "Bob"), Member("bob@h", "bob-phone"))
    for members in (nicks, nicks[::-1]):
        said = replace(SAID, text="Bob, yes", answers=f"{ROOM}/bob-phone", members=members)
        assert facts(said) == (replace(MESSAGE, named=(("bob@h", Kind.MENTION),)),)


@pytest.mark.parametrize(
    ("contact", "by", "is_room"),
    [(ROOM, ROOM, True), (ROOM, "bob@h", False), ("alice@h", "bob@h", False), ("alice@h", "alice@h", False), ("x@y", "bob@h", False)],
)
def test_a_read_state_is_of_a_room_if_the_room_archived_it(contact: str, by: str, is_room: bool) -> None:
    archive = ArchiveId(by, "a1")
    read = RoomRead("bob@h", contact, AT, "a1") if is_room else Read("bob@h", contact, AT, archive=archive)
    assert read_state("bob@h", contact, AT, archive, {"h"}) == read


def test_the_text_does_not_show_in_a_log_line() -> None:
    assert "hello" not in repr(SAID)


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("ann", "ann", True),
        ("annette, ann", "ann", True),
        ("@ann?", "ann", True),
        ("ann_b", "ann", False),
        ("c++", "c++", True),
        ("learn c++17", "c++", True),
        ("xc++", "c++", False),
        ("学习 李雷", "李雷", True),
        ("", "ann", False),
        ("ann", "", False),
    ],
)
def test_a_word_is_found_where_no_longer_one_stands(text: str, word: str, found: bool) -> None:
    assert has_word(text, word) is found


@given(st.text(max_size=20), st.text(min_size=1, max_size=5), st.text(max_size=20))
def test_between_blanks_every_word_is_found(before: str, word: str, after: str) -> None:
    assert has_word(f"{before} {word} {after}", word)
