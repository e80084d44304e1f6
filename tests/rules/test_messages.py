"""What counts as a message, what is read by a marker, and which accounts are of the same message."""

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from component.rules.facts import ArchiveId, Kind, Message, Read
from component.rules.messages import NEAR, Delay, Held, Tapped, facts_of, instant, match, merge

SERVED = frozenset({"h"})
AT = 1_577_836_800.0 + 3600.0
"""2020-01-01T01:00:00Z."""
CHAT = Tapped("bob@x", "alice@h", AT, "m1", "chat", body=True)
MESSAGE = Message("bob@x", "alice@h", AT, "m1")


@pytest.mark.parametrize(
    "tapped",
    [
        CHAT,
        replace(CHAT, type="normal"),
        replace(CHAT, type="invented"),
        replace(CHAT, body=False, encryption=True),
        replace(CHAT, encryption=True),
        replace(CHAT, body=False, omemo=True),
        replace(CHAT, omemo=False),
        replace(CHAT, delays=(Delay("yesterday"),)),
        replace(CHAT, delays=(Delay(""),)),
        replace(CHAT, delays=(Delay("2020-01-01T00:59:30Z", "x"),)),
        replace(CHAT, delays=(Delay("2020-01-01T00:59:00Z", "x"),)),
        replace(CHAT, delays=(Delay("2020-01-02T00:00:00Z", "h"),)),
        replace(CHAT, delays=(Delay("20991231T00:00:00", "h"),)),
        replace(CHAT, archives=(ArchiveId("bob@x", "a1"),)),
    ],
    ids=lambda tapped: " ".join(
        f"{name}={getattr(tapped, name)}" for name in Tapped.__slots__ if getattr(tapped, name) != getattr(CHAT, name)
    ),
)
def test_it_counts_as_of_its_arrival(tapped: Tapped) -> None:
    assert facts_of(tapped, SERVED) == (MESSAGE,)


@pytest.mark.parametrize(
    "tapped",
    [
        replace(CHAT, type="error"),
        replace(CHAT, type="groupchat"),
        replace(CHAT, type="headline"),
        replace(CHAT, carbon=True),
        replace(CHAT, mam=True),
        replace(CHAT, body=False),
        replace(CHAT, body=False, omemo=False),
        replace(CHAT, body=False, omemo=False, encryption=True),
        replace(CHAT, retracts=True),
        replace(CHAT, retracts=True, replaces="m0"),
        replace(CHAT, sender="alice@h"),
        replace(CHAT, delays=(Delay("2020-01-01T00:00:00Z"),)),
        replace(CHAT, delays=(Delay("2020-01-01T00:58:59Z", "x"),)),
        replace(CHAT, delays=(Delay("2020-01-01T01:00:00+01:00", "alice@h"),)),
        replace(CHAT, delays=(Delay("20200101T00:00:00", "h"),)),
        replace(CHAT, delays=(Delay("yesterday"), Delay("2020-01-01T00:00:00Z"))),
        replace(CHAT, delays=(Delay("2099-01-01T00:00:00Z"), Delay("2019-01-01T00:00:00Z"))),
    ],
    ids=lambda tapped: " ".join(
        f"{name}={getattr(tapped, name)}" for name in Tapped.__slots__ if getattr(tapped, name) != getattr(CHAT, name)
    ),
)
def test_it_is_no_message(tapped: Tapped) -> None:
    assert facts_of(tapped, SERVED) == ()


def test_the_servers_own_delay_is_believed() -> None:
    delayed = replace(CHAT, delays=(Delay("2020-01-01T00:59:50Z", "h"),))
    assert facts_of(delayed, SERVED) == (replace(MESSAGE, at=AT - 10.0),)


def test_a_correction_is_marked_as_such() -> None:
    assert facts_of(replace(CHAT, replaces="m0"), SERVED) == (replace(MESSAGE, correction=True),)
    assert facts_of(replace(CHAT, replaces="m0", body=False), SERVED) == ()


def test_a_marker_says_that_its_sender_has_read_what_its_recipient_wrote() -> None:
    marker = Tapped("alice@h", "bob@x", AT, "d1", displayed="m1")
    assert facts_of(marker, SERVED) == (Read("alice@h", "bob@x", AT, "m1"),)
    assert facts_of(replace(marker, body=True), SERVED) == (Message("alice@h", "bob@x", AT, "d1"), Read("alice@h", "bob@x", AT, "m1"))
    for no_marker in (
        replace(marker, type="error"),
        replace(marker, carbon=True),
        replace(marker, mam=True),
        replace(marker, recipient="alice@h"),
    ):
        assert facts_of(no_marker, SERVED) == ()


@pytest.mark.parametrize(
    ("archives", "recipient", "archive"),
    [
        ((), "alice@h", None),
        ((ArchiveId("alice@h", "a1"),), "alice@h", ArchiveId("alice@h", "a1")),
        ((ArchiveId("bob@h", "forged"), ArchiveId("alice@h", "a1")), "alice@h", ArchiveId("alice@h", "a1")),
        ((ArchiveId("bob@h", "forged"),), "alice@h", None),
        ((ArchiveId("bob@h", "b1"),), "carol@y", ArchiveId("bob@h", "b1")),
        ((ArchiveId("carol@y", "forged"),), "carol@y", None),
        ((ArchiveId("alice@h", ""),), "alice@h", None),
    ],
)
def test_only_the_id_that_the_tapping_host_gave_is_believed(
    archives: tuple[ArchiveId, ...], recipient: str, archive: ArchiveId | None
) -> None:
    (message,) = facts_of(replace(CHAT, sender="bob@h", recipient=recipient, archives=archives), SERVED)
    assert isinstance(message, Message)
    assert message.archive == archive


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, Kind.DIRECT),
        ({"file": True}, Kind.FILE),
        ({"file": True, "invite": True}, Kind.INVITE),
        ({"invite": True, "reply": True}, Kind.REPLY),
        ({"reply": True, "reply_to": "alice@h"}, Kind.REPLY),
        ({"reply": True, "reply_to": "bob@x"}, Kind.DIRECT),
        ({"reply": True, "attention": True, "file": True}, Kind.ATTENTION),
    ],
)
def test_a_message_is_of_the_first_kind_that_fits(changes: dict[str, object], kind: Kind) -> None:
    (message,) = facts_of(replace(CHAT, **changes), SERVED)  # type: ignore[arg-type]  # the fields of Tapped
    assert isinstance(message, Message)
    assert message.kind is kind


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2020-01-01T00:00:00Z", 1_577_836_800.0),
        ("2020-01-01T01:00:00+01:00", 1_577_836_800.0),
        ("2019-12-31T19:00:00-05:00", 1_577_836_800.0),
        ("2020-01-01T00:00:00.5Z", 1_577_836_800.5),
        ("2020-01-01T00:00:00.123456789Z", 1_577_836_800.123456789),
        ("2020-03-29T02:30:00Z", 1_585_449_000.0),
        ("20200101T00:00:00", 1_577_836_800.0),
        ("0001-01-01T00:00:00Z", -62_135_596_800.0),
        ("yesterday", None),
        ("", None),
        ("2020-01-01", None),
        ("2020-01-01T00:00:00", None),
        ("2020-01-01 00:00:00Z", None),
        ("2020-13-01T00:00:00Z", None),
        ("2020-02-30T00:00:00Z", None),
        ("2020-01-01T24:00:00Z", None),
        ("2020-01-01T00:00:60Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("2020-01-01T00:00:00+99:00", None),
        ("2020-01-01T00:00:00.Z", None),
        ("20200101T00:00:00Z", None),
        ("２０２０-01-01T00:00:00Z", None),
        ("2020-01-01T00:00:00Z\n", None),
        (" 2020-01-01T00:00:00Z", None),
    ],
)
def test_stamps(stamp: str, seconds: float | None) -> None:
    assert instant(stamp) == seconds


def test_stamps_mean_the_same_in_every_time_zone_of_the_machine() -> None:
    program = "from component.rules.messages import instant; print(instant('20200101T00:00:00'), instant('2020-07-01T00:00:00Z'))"
    environment = {**os.environ, "TZ": "America/New_York"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.split() == ["1577836800.0", "1593561600.0"]


@given(st.text())
@example("9999-12-31T23:59:59-23:59")
@example("0001-01-01T00:00:00+23:59")
def test_no_stamp_is_an_error(stamp: str) -> None:
    facts_of(replace(CHAT, delays=(Delay(stamp),)), SERVED)


# --- the same message by several ways ---


class Ledger:
    """What the ledger does with `match` and `merge`, in a list."""

    def __init__(self) -> None:
        self.held: list[Held] = []

    def take(self, arriving: Sequence[Message], tapped: bool) -> int:
        """How many were new."""
        matching = match(arriving, self.held, tapped)
        for index, held in matching.settled.items():
            self.held[held.ref] = merge(held, arriving[index], tapped)
        for index in matching.new:
            self.held.append(replace(Held.of(arriving[index], tapped), ref=len(self.held)))
        return len(matching.new)

    @property
    def instants(self) -> list[tuple[float, str]]:
        return sorted((held.message.at, held.message.id) for held in self.held)


def archived(messages: Sequence[Message], owner: str, lag: float = 0.0) -> list[Message]:
    return [replace(message, at=message.at + lag, archive=ArchiveId(owner, f"{owner} {n}")) for n, message in enumerate(messages)]


BOB, ALICE = "bob@h", "alice@h"
KNOWN = Message(BOB, ALICE, 100.0, "m1", ArchiveId(ALICE, "a1"))


@pytest.mark.parametrize(
    ("entry", "is_new"),
    [
        (KNOWN, False),
        (replace(KNOWN, at=500.0), False),
        (replace(KNOWN, archive=ArchiveId(ALICE, "a2")), True),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1")), False),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1"), at=100.0 + NEAR), False),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1"), at=100.0 - NEAR), False),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1"), at=100.1 + NEAR), True),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1"), id="m2"), True),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1"), id=""), True),
        (replace(KNOWN, archive=ArchiveId(BOB, "b1"), correction=True), True),
        (Message(ALICE, BOB, 100.0, "m1", ArchiveId(BOB, "b1")), True),
        (Message(ALICE, BOB, 100.0, "m1", ArchiveId(ALICE, "a1")), True),
        (Message("carol@h", ALICE, 100.0, "m1", ArchiveId(ALICE, "a2")), True),
    ],
)
def test_an_archive_entry_is_known_by_its_archive_id_or_by_what_is_like_it_and_near(entry: Message, is_new: bool) -> None:
    ledger = Ledger()
    ledger.take([KNOWN], tapped=True)
    assert ledger.take([entry], tapped=False) == is_new


def test_a_tap_is_known_if_an_archive_told_of_it_before() -> None:
    ledger = Ledger()
    ledger.take([replace(KNOWN, archive=ArchiveId(BOB, "b1"), at=99.0)], tapped=False)
    assert ledger.take([KNOWN], tapped=True) == 0
    assert ledger.instants == [(100.0, "m1")]
    assert ledger.take([replace(KNOWN, archive=ArchiveId(ALICE, "a2"))], tapped=True) == 1


def test_a_tap_with_an_archive_id_that_is_there_already_is_known() -> None:
    ledger = Ledger()
    ledger.take([KNOWN], tapped=True)
    assert ledger.take([KNOWN], tapped=True) == 0
    assert ledger.take([replace(KNOWN, archive=None)], tapped=True) == 1


def test_the_nearest_in_time_is_the_one() -> None:
    ledger = Ledger()
    ledger.take([Message(BOB, ALICE, at) for at in (100.0, 104.0, 108.0)], tapped=True)
    ledger.take([Message(BOB, ALICE, 107.0, archive=ArchiveId(ALICE, "a1"))], tapped=False)
    assert [bool(held.archives) for held in ledger.held] == [False, False, True]


people = st.sampled_from([(BOB, ALICE), (ALICE, BOB)])
messages = st.lists(
    st.builds(
        lambda pair, at, identity: Message(*pair, at, identity),
        people,
        st.integers(0, 600).map(lambda tenths: tenths / 10),
        st.sampled_from(["", "m1", "m2"]),
    ),
    max_size=25,
).map(lambda found: sorted(found, key=lambda message: message.at))
lags = st.integers(-50, 50).map(lambda tenths: tenths / 10)
pages = st.integers(1, 7)


def batches(found: Sequence[Message], size: int) -> list[Sequence[Message]]:
    return [found[start : start + size] for start in range(0, len(found), size)]


@given(messages, lags, lags, pages)
def test_each_archive_holds_the_same_messages_whatever_was_told_before(
    live: list[Message], lag: float, other_lag: float, size: int
) -> None:
    ledger = Ledger()
    for batch in batches(live, 3):
        ledger.take(batch, tapped=True)
    for owner, behind in ((ALICE, lag), (BOB, other_lag)):
        assert ledger.take(archived(live, owner, behind), tapped=False) == 0
    assert [(held.message, len(held.archives)) for held in ledger.held] == [(message, 2) for message in live]


@given(messages, st.lists(st.integers(-99, 99).map(lambda each: each / 10), min_size=25, max_size=25))
def test_each_live_message_has_its_archive_entry_however_much_they_differ_in_time(live: list[Message], differences: list[float]) -> None:
    ledger = Ledger()
    ledger.take(live, tapped=True)
    entries = [replace(message, at=message.at + by) for message, by in zip(archived(live, ALICE), differences, strict=False)]
    assert ledger.take(entries, tapped=False) == 0
    assert [held.message for held in ledger.held] == live


@given(messages, pages, pages)
def test_importing_again_adds_nothing_whatever_the_pages(found: list[Message], size: int, other_size: int) -> None:
    ledger = Ledger()
    new = sum(ledger.take(batch, tapped=False) for batch in batches(archived(found, ALICE), size))
    assert new == len(found)
    before = list(ledger.held)
    assert sum(ledger.take(batch, tapped=False) for batch in batches(archived(found, ALICE), other_size)) == 0
    assert ledger.held == before


@given(messages, lags, st.permutations(["alice", "bob", "live"]), pages)
def test_the_order_of_import_and_life_does_not_matter(found: list[Message], lag: float, order: list[str], size: int) -> None:
    accounts = {"alice": archived(found, ALICE, lag), "bob": archived(found, BOB), "live": found}

    def told(names: Sequence[str]) -> Ledger:
        ledger = Ledger()
        for name in names:
            # Pages that begin within the same few seconds are for the law above: here all of one likeness come at once.
            for _, alike in itertools.groupby(sorted(accounts[name], key=likeness), key=likeness):
                ledger.take(list(alike), tapped=name == "live")
        return ledger

    assert told(order).instants == told(["alice", "bob", "live"]).instants
    without_life = [name for name in order if name != "live"]
    assert told(without_life).instants == told(without_life[::-1]).instants
    assert len(told(order).held) == len(found)


def likeness(message: Message) -> tuple[str, str, str]:
    return message.sender, message.recipient, message.id


def test_a_long_burst_without_ids_matches_one_to_one_even_if_stamps_are_whole_seconds() -> None:
    live = [Message(BOB, ALICE, 100.6 + n) for n in range(60)]
    ledger = Ledger()
    ledger.take(live, tapped=True)
    entries = [replace(entry, at=float(int(entry.at))) for entry in archived(live, ALICE)]
    assert sum(ledger.take(batch, tapped=False) for batch in batches(entries, 7)) == 0
