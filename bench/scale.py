"""A large site (spec/60-quality.md, start and memory): 10,000 users online, 100 contacts each. The server is a stand-in."""

import asyncio
import hashlib
import json
import re
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from measure import line, resident
from rig.process import Process
from rig.rapport import COMMAND, toml
from rig.wait import free_ports

from component.ledger.engine import Database
from component.ledger.facts import Ledger

USERS, CONTACTS = 10_000, 100
LIMIT = 120.0
SECRET = "bench"  # noqa: S105 - of a stand-in
STREAM = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>"

END = re.compile(r"(?<=</message>)|(?<=</iq>)|(?<=</handshake>)|(?<=to=\"rapport.localhost\">)")
"""Every stanza of the component ends so; none is nested in another."""


class StandIn:
    """A server with mod_rapport, as far as the component can tell: it has rosters and sessions, and notes who was shown anything."""

    def __init__(self, users: int) -> None:
        self.users = users
        self.linked_at = 0.0
        self.shown: dict[str, float] = {}
        self.linked, self.all_shown = asyncio.Event(), asyncio.Event()
        self._writer: asyncio.StreamWriter

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        rest = ""
        while data := await reader.read(1 << 20):
            rest += data.decode()
            stanzas = END.split(rest)
            rest = stanzas.pop()
            for stanza in stanzas:
                self._take(stanza)
            await writer.drain()

    def _take(self, stanza: str) -> None:
        if "<stream:stream" in stanza:
            self._say(STREAM)
        elif "<handshake" in stanza:
            assert hashlib.sha1(f"1{SECRET}".encode()).hexdigest() in stanza  # noqa: S324 - XEP-0114
            self._say("<handshake/>")
        elif "<hello" in stanza:
            self._notice("<hello xmlns='urn:x-rapport:link:0' version='0' epoch='e' server='x' grace='30' buffer='10000' dropped='0'/>")
        elif "<ready" in stanza:
            self.linked_at = time.perf_counter()
            for number in range(self.users):
                self._notice(
                    f"<session xmlns='urn:x-rapport:link:0' jid='u{number}@localhost/phone' v='1' truth='1' shown='1'>"
                    f"<presence xmlns='jabber:client' from='u{number}@localhost/phone'><priority>5</priority></presence></session>"
                )
            self._notice("<ready xmlns='urn:x-rapport:link:0'/>")
            self.linked.set()
            if not self.users:
                self.all_shown.set()
        elif "<show" in stanza:
            found = re.search(r"jid=['\"]([^/'\"]*)", stanza)
            assert found is not None
            self.shown.setdefault(found[1], time.perf_counter())
            if len(self.shown) == self.users:
                self.all_shown.set()
        elif "<iq" in stanza and (found := re.search(r"<(roster|blocks)[^>]*user=['\"]u(\d+)['\"]", stanza)):
            identity = re.search(r"id=['\"]([^'\"]*)", stanza)
            assert identity is not None
            answer = self._answer(found[1], int(found[2]))
            self._say(f"<iq type='result' from='localhost' to='rapport.localhost' id='{identity[1]}'>{answer}</iq>")

    def _answer(self, what: str, user: int) -> str:
        if what == "blocks":
            return f"<blocks xmlns='urn:x-rapport:link:0' user='u{user}'/>"
        contacts = [(user + 1 + number) % USERS for number in range(CONTACTS)]
        items = "".join(f"<item jid='u{each}@localhost' name='User {each}' subscription='both'/>" for each in contacts)
        return f"<roster xmlns='urn:x-rapport:link:0' user='u{user}'>{items}</roster>"

    def _notice(self, element: str) -> None:
        self._say(f"<message from='localhost' to='rapport.localhost'>{element}</message>")

    def _say(self, xml: str) -> None:
        self._writer.write(xml.encode())


async def fill(file: Path) -> None:
    """Every user has 100 contacts, has written to each, and has one new message; all opted in."""
    database = await Database.open(f"sqlite:///{file}")
    outcomes = {"talking": ["online", ""], "unanswered": ["away", ""], "busy": ["dnd", ""], "free": ["online", ""]}
    values = {"users": USERS, "contacts": CONTACTS, "all": USERS * CONTACTS, "now": time.time(), "outcomes": json.dumps(outcomes)}
    with closing(sqlite3.connect(file)) as connection:
        numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :all) SELECT i FROM n"
        connection.execute(f"CREATE TEMP TABLE n AS {numbers}", values)
        connection.execute("INSERT INTO jids (id, jid) SELECT i, 'u' || i || '@localhost' FROM n WHERE i < :users", values)
        connection.execute(
            """
            INSERT INTO facts (what, sender, recipient, at, stanza_id, kind, tapped, voided)
            SELECT 0, i % :users, (i % :users + 1 + i / :users) % :users, :now - 86400 * (1 + i / :users), 'm' || i, 0, 1, 0 FROM n
            UNION ALL SELECT 0, (i + 1) % :users, i, :now - 60, 'new' || i, 0, 1, 0 FROM n WHERE i < :users
            """,
            values,
        )
        connection.execute(
            """
            INSERT INTO presence_users (user, enabled, sent_window, received_window, unread_max_age, outcomes)
            SELECT 'u' || i || '@localhost', 1, 1800, 1800, 86400, :outcomes FROM n WHERE i < :users
            """,
            values,
        )
        connection.commit()
    await (await Ledger.open(database)).rebuild()
    await database.close()


async def measured(directory: Path, users: int) -> tuple[StandIn, float]:
    """Run Rapport beside a server where so many of its users are online; the server, and Rapport's memory in MiB when all are right."""
    stand_in, (port,) = StandIn(users), free_ports(1)
    settings = {
        "component": {"jid": "rapport.localhost", "secret": SECRET, "port": port, "served_hosts": ["localhost"]},
        "storage": {"url": f"sqlite:///{directory}/rapport.db"},
    }
    config = directory / "rapport.toml"
    config.write_text(toml(settings), encoding="utf-8")
    config.chmod(0o600)
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", port)
    process = Process([str(COMMAND), "run", "--config", str(config)], directory / "rapport.log")
    await process.start()
    try:
        async with asyncio.timeout(LIMIT):
            await stand_in.linked.wait()
            await stand_in.all_shown.wait()
            await asyncio.sleep(1)
        return stand_in, resident(process.pid)
    finally:
        await process.end()
        server.close()
        print(*[each for each in process.log.read_text().splitlines() if " ERROR " in each or "Traceback" in each][:5], sep="\n", end="")


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as name:
        directory = Path(name)
        await fill(directory / "rapport.db")
        _, idle = await measured(directory, 0)
        stand_in, full = await measured(directory, USERS)
    first = min(stand_in.shown.values()) - stand_in.linked_at
    last = max(stand_in.shown.values()) - stand_in.linked_at
    pairs, more = f"{USERS * CONTACTS:,} pairs", full - idle
    line(f"start, {pairs}: from the link until the first user is right", f"{first:.2f} s", "<= 0.3 s", first <= 0.3)
    line(f"start, {pairs}: until all {USERS:,} users are right", f"{last:.1f} s", "<= 3 s", last <= 3)
    line(f"memory, {USERS:,} users x {CONTACTS} contacts", f"{more:.0f} MiB more than idle ({idle:.0f})", "<= 150 MiB", more <= 150)


if __name__ == "__main__":
    asyncio.run(main())
