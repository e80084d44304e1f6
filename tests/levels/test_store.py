"""What is kept of levels, on SQLite and PostgreSQL."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from component.ledger.engine import Database
from component.ledger.erase import Records
from component.levels import store as module
from component.levels.store import DOORS, LABELS, LOOKS_KEPT, PARTS, Full, Leveled, Look, RealName, Settings, Store, metadata
from component.rules.doors import Door
from component.rules.levels import NO_LABELS, Labels
from stanzas.files import SharedFile

ALICE, BOB, EVE = "alice@example.org", "bob@example.org", "eve@remote.example"
LINK = "https://example.org/plan.pdf"


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def look(at: float, granted: bool = True, who: str = BOB) -> Look:
    return Look(at, who, Door.CONTACTS, 3, granted)


async def test_the_migration_makes_the_tables_that_the_code_uses(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        ours = set(metadata.tables)
        options = {"include_name": lambda name, kind, _parents: kind != "table" or name in ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert await database.read(differences) == []


async def test_who_never_set_anything_has_opened_nothing(store: Store) -> None:
    assert await store.settings(ALICE) == Settings()


async def test_what_was_set_is_what_is_read(store: Store) -> None:
    labels = Labels(("family", "Schach & Matt"), 2, pinned=True)
    full = SharedFile(LINK, "plan.pdf", 10**12, "application/pdf", (("sha-256", "AAAA"), ("sha3-256", "BBBB")))
    other = SharedFile("https://example.org/b", "b")
    await store.label(ALICE, BOB, labels)
    await store.open(ALICE, Door.CONTACTS, frozenset({1, 3, 5}), share_names=True)
    await store.open(ALICE, Door.FILES, frozenset(), share_names=False)
    await store.set_real_name(ALICE, "example.org", True, RealName("Alice Liddell", "Alice", "Liddell", LINK))
    await store.share(ALICE, Leveled(full, 3))
    await store.share(ALICE, Leveled(other, None))
    assert await store.wrote(ALICE, EVE, answered=False)
    assert await store.settings(ALICE) == Settings(
        {BOB: labels},
        {Door.CONTACTS: frozenset({1, 3, 5}), Door.FILES: frozenset()},
        True,
        RealName("Alice Liddell", "Alice", "Liddell", LINK),
        (Leveled(full, 3), Leveled(other, None)),
        frozenset({EVE}),
    )
    assert await store.settings(BOB) == Settings()


async def test_what_is_set_anew_replaces_what_was_set(store: Store) -> None:
    await store.label(ALICE, BOB, Labels(("family",)))
    await store.label(ALICE, BOB, Labels(("work",), 4))
    await store.open(ALICE, Door.FILES, frozenset({1}), share_names=False)
    await store.open(ALICE, Door.FILES, frozenset({2}), share_names=False)
    await store.share(ALICE, Leveled(SharedFile(LINK, "old"), 1))
    await store.share(ALICE, Leveled(SharedFile(LINK, "new"), None))
    settings = await store.settings(ALICE)
    assert settings.labels == {BOB: Labels(("work",), 4)}
    assert settings.open(Door.FILES) == {2}
    assert settings.files == (Leveled(SharedFile(LINK, "new"), None),)


async def test_what_is_taken_back_is_gone(store: Store) -> None:
    await store.label(ALICE, BOB, Labels(("family",)))
    await store.label(ALICE, BOB, NO_LABELS)
    await store.set_real_name(ALICE, "example.org", True, RealName("Alice"))
    await store.set_real_name(ALICE, "example.org", True, None)
    await store.share(ALICE, Leveled(SharedFile(LINK, "plan"), 1))
    assert await store.revoke(ALICE, LINK)
    assert not await store.revoke(ALICE, LINK)
    assert await store.settings(ALICE) == Settings()


async def test_opting_out_and_in_again(store: Store) -> None:
    await store.set_listable(EVE, "remote.example", False, listable=False)
    await store.set_listable(EVE, "remote.example", False, listable=False)
    assert await store.unlisted() == {EVE}
    await store.set_listable(EVE, "remote.example", False, listable=True)
    assert await store.unlisted() == frozenset()


async def test_users_of_another_domain_cannot_fill_the_database(store: Store) -> None:
    room = 3
    for number in range(room):
        await _fill(store, f"user{number}@remote.example", room)
    with pytest.raises(Full):
        await _fill(store, "user3@remote.example", room)
    await _fill(store, "user0@remote.example", room)
    await _fill(store, "user0@elsewhere.example", room)


async def _fill(store: Store, jid: str, room: int) -> None:
    table, domain = module.UNLISTED, jid.partition("@")[2]
    await store._replace(table, table.c.jid == jid, {"jid": jid, "domain": domain}, table.c.domain == domain, room)


async def test_the_first_message_under_a_real_name_is_told_from_the_others(store: Store) -> None:
    talk = [(ALICE, BOB, False), (ALICE, BOB, False), (BOB, ALICE, True), (BOB, ALICE, True), (ALICE, BOB, True)]
    assert [await store.wrote(*message) for message in talk] == [True, False, True, False, False]
    assert (await store.settings(ALICE)).may_answer(BOB)
    assert not (await store.settings(BOB)).may_answer(ALICE)
    assert not await store.wrote(BOB, ALICE, answered=False)
    assert (await store.settings(BOB)).may_answer(ALICE)


async def test_one_introduction_of_a_pair_in_a_day(store: Store) -> None:
    day = 86_400.0
    assert await store.introduce(ALICE, EVE, 1000.0, day) is None
    assert await store.introduce(ALICE, EVE, 1000.0 + day - 1, day) == 1000.0
    assert await store.introduce(BOB, EVE, 1000.0 + day - 1, day) is None
    assert await store.introduce(ALICE, EVE, 1000.0 + day, day) is None


async def test_the_log_is_read_newest_first_and_by_its_owner_alone(store: Store) -> None:
    await store.record(ALICE, look(1.0))
    await store.record(ALICE, Look(2.0, EVE, Door.REAL_NAME, None, False))
    await store.record(BOB, look(3.0))
    assert await store.looks(ALICE) == [Look(2.0, EVE, Door.REAL_NAME, None, False), look(1.0)]


async def test_refusals_without_end_push_out_no_granted_look(store: Store, database: Database) -> None:
    await store.record(ALICE, look(1.0))

    def flood(connection: Connection) -> None:
        row = {"owner": ALICE, "who": EVE, "door": "files", "level": None, "granted": False}
        connection.execute(module.LOOKS.insert(), [{**row, "at": 2.0 + number} for number in range(LOOKS_KEPT)])

    await database.write(flood)
    await store.record(ALICE, look(9e9, granted=False))
    looks = await store.looks(ALICE)
    assert len(looks) == LOOKS_KEPT + 1
    assert (looks[0].at, looks[-2].at, looks[-1]) == (9e9, 3.0, look(1.0))


async def test_a_user_is_forgotten_in_whatever_part_they_had(store: Store, database: Database) -> None:
    await store.label(ALICE, BOB, Labels(("family",)))
    await store.label(BOB, ALICE, Labels(("family",)))
    await store.open(ALICE, Door.FILES, frozenset({1}), share_names=False)
    await store.open(BOB, Door.FILES, frozenset({1}), share_names=False)
    await store.set_listable(ALICE, "example.org", True, listable=False)
    await store.record(BOB, look(1.0, who=ALICE))
    await Records(database, lambda: None, PARTS).erase(ALICE)
    assert await store.settings(ALICE) == Settings()
    assert await store.settings(BOB) == Settings(opened={Door.FILES: frozenset({1})})
    assert await store.unlisted() == frozenset()
    assert await store.looks(BOB) == []
    assert await database.read(
        lambda connection: (connection.execute(LABELS.select()).all(), len(connection.execute(DOORS.select()).all()))
    ) == (
        [],
        1,
    )
