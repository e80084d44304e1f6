"""Who is wired to whom. Builds every service, starts and drains them; the only file that knows all the others."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from component.checks import Check
from component.clock import SystemClock
from component.commands.adhoc import Adhoc
from component.commands.chat import Chat
from component.commands.control import Control, Hooks, InUse
from component.commands.explain import Explain
from component.commands.model import Answer, Asker, BadField
from component.commands.registry import Registry
from component.commands.users import commands as user_commands
from component.delivery import Delivery
from component.ledger.engine import Database, DatabaseTooNew
from component.ledger.erase import Records
from component.ledger.facts import Ledger
from component.ledger.mark import Handed
from component.ledger.queue import Queue
from component.levels import commands as levels_commands
from component.levels.face import Faces
from component.levels.links import Links
from component.levels.service import Levels
from component.levels.store import PARTS as LEVELS_PARTS
from component.levels.store import Store as LevelsStore
from component.link.archive import Importer
from component.link.checks import check
from component.link.router import Router
from component.link.server import Link
from component.link.stream import Stream
from component.own import Own, version_query
from component.ports import Handler, Session
from component.presence import commands as presence_commands
from component.presence.service import Presence
from component.presence.store import PARTS as PRESENCE_PARTS
from component.presence.store import Store as PresenceStore
from component.rules import addresses
from component.rules.facts import Fact, Message
from component.rules.levels import Balance, Scale
from component.rules.presence import Rules
from component.virtual import commands as virtual_commands
from component.virtual.service import NameTaken, Virtual
from component.virtual.store import PARTS as VIRTUAL_PARTS
from component.virtual.store import Store as VirtualStore
from component.web.server import Metric, Web
from config.settings import Settings
from config.values import Listen
from stanzas.jid import bare, parse_bare, split
from stanzas.jid import parse as parse_jid

log = logging.getLogger(__name__)


HEALTH = 1.0
"""Seconds that the database has to answer whoever asks for our health."""


class App:
    """Rapport, built and connected. Made by `running`."""

    def __init__(self, settings: Settings, database: Database, ledger: Ledger, queue: Queue, mark: Any) -> None:
        component, defaults = settings.component, settings.presence
        self.settings = settings
        self.database = database
        self.clock = SystemClock()
        self.stream = Stream(component.jid, component.secret.get_secret_value(), component.host, component.port)
        self.server = Link(self.stream, component.served_hosts, ledger, mark)
        self.server.listener = self
        self.presence = Presence(
            self.server,
            ledger,
            PresenceStore(database),
            self.clock,
            defaults.settle,
            Rules(defaults.sent_window, defaults.received_window, defaults.unread_max_age),
        )
        scale = Scale(settings.levels.half_life, settings.levels.thresholds, Balance(settings.levels.balance))
        self.levels = Levels(component.jid, self.server, ledger, LevelsStore(database), self.clock, scale, component.served_hosts)
        self.delivery = Delivery(self.server)
        self.faces = Faces(component.jid, self.server, self.levels, self.delivery)
        self.virtual = Virtual(
            component.jid,
            component.served_hosts,
            self.server,
            queue,
            VirtualStore(database),
            self.clock,
            self.delivery,
            version_query,
            settings.virtual,
            [community.id for community in settings.community],
        )
        self.records = Records(database, ledger.forget, [*PRESENCE_PARTS, *LEVELS_PARTS, *VIRTUAL_PARTS])
        self.importer = Importer(self.server, ledger, component.served_hosts)
        now = self.clock.now
        self.explain = Explain(
            presence_commands.explain_table(self.presence),
            [presence_commands.explain_rows(self.presence, now), levels_commands.explain_rows(self.levels)],
            self.server.roster,
        )
        self.registry = Registry(
            [
                *presence_commands.commands(self.presence, self.server.roster, now),
                *levels_commands.commands(self.levels, Links(component.jid, self.server), self.server.roster),
                *virtual_commands.commands(self.virtual),
                *user_commands(self.records, self._erase, component.served_hosts, now),
                self.explain.command(),
            ]
        )
        chat = Chat(self.registry)
        own = Own(component.jid, self.server, self.delivery, Adhoc(self.registry, now), chat, self.asker, self._items)
        handlers: Mapping[type, Handler] = {
            addresses.Own: own,
            addresses.Face: self.faces,
            **dict.fromkeys((addresses.Virtual, addresses.Conversation), self.virtual),
        }
        self.router = Router(component.jid, self.server, queue, self.delivery, self._address, handlers, now)
        hooks = Hooks(self.checks, self._explain, self.importer.run)
        self.control = Control(component.control_socket, self.registry, self._typed_asker, hooks)

    async def open(self) -> None:
        await self.presence.open()
        await self.levels.open()
        await self.virtual.open()
        await self.router.resume()

    async def drain(self) -> None:
        """Take nothing new, store what was handed over, and let what has begun end."""
        self.delivery.stop()
        self.router.stop()
        await self.server.handover.drain()
        await self.router.drain()
        await self.presence.drain()
        await self.levels.drain()
        await self.virtual.drain()

    def asker(self, jid: str) -> Asker:
        """Who gives a command from this JID, as the server gave it."""
        component = self.settings.component
        return Asker(jid, bare(jid), bare(jid) in component.admins, split(jid)[1] in component.served_hosts)

    def _typed_asker(self, jid: str | None) -> Asker:
        """Who gives a command at the command line: an admin, or the one whom the admin names. Raises ValueError."""
        if jid is None:
            return replace(self.asker(self.settings.component.jid), admin=True)
        return self.asker(parse_jid(jid))

    async def _explain(self, user: str, contact: str) -> Answer:
        try:
            known = parse_bare(user)
        except ValueError as error:
            raise BadField("user", str(error)) from None
        return await self.explain.answer(known, contact, known)

    async def checks(self) -> Sequence[Check]:
        """What works; of what is still connecting, after up to PROBE seconds."""
        await self.server.settled(PROBE)
        return await check(self.stream, self.server, self.database)

    async def health(self) -> Mapping[str, bool]:
        """What must hold for Rapport to do its work."""
        hosts = {f"link {host}": self.server.linked(host) for host in sorted(self.server.served_hosts)}
        return {"stream": self.stream.up, **hosts, "storage": await self.database.answers(HEALTH)}

    def metrics(self) -> Iterable[Metric]:
        server = self.server
        yield Metric("rapport_forgeries_total", "Stanzas that pretended to be the link's", self.router.forgeries.count, counts=True)
        yield Metric("rapport_handed_over", "The last hand-over of the link that is stored", server.handover.stored)
        yield Metric("rapport_users_shown", "Users with presence rules who are online", self.presence.online)
        for host in sorted(server.served_hosts):
            yield Metric("rapport_sessions", "Available sessions of the host's users", server.session_count(host), (("host", host),))
            module = server.modules.get(host)
            dropped = module.dropped if module else 0
            yield Metric("rapport_dropped", "Hand-overs that found the module's buffer full", dropped, (("host", host),))

    def _address(self, local: str) -> addresses.Address | None:
        return addresses.parse(local, self.virtual.is_virtual)

    async def _items(self) -> Sequence[tuple[str, str]]:
        return self.virtual.items()

    # --- what the link tells (link.server.Listener) ---

    def gated(self, host: str) -> Iterable[str]:
        return self.presence.gated(host)

    def on_session(self, session: Session, shown: Mapping[str, str] | None, true: bool) -> None:
        self.presence.on_session(session, shown, true)
        self.virtual.on_session(session)

    def on_gone(self, jid: str) -> None:
        self.presence.on_gone(jid)
        self.virtual.on_gone(jid)

    def on_ready(self, host: str) -> None:
        self.presence.on_ready(host)
        self.levels.on_ready(host)
        self.delivery.on_link()
        self.virtual.on_ready(host)

    def on_refused(self, host: str) -> None:
        self.delivery.on_link()
        self.virtual.on_ready(host)

    def on_down(self) -> None:
        """Nothing can be shown or asked until the stream is back; everybody keeps what they know."""
        self.virtual.on_down()

    def on_probe(self, contact: str, user: str) -> None:
        self.presence.on_probe(contact, user)

    def on_changed(self, user: str, what: str) -> None:
        self.presence.on_changed(user, what)
        self.levels.on_changed(user, what)
        if what == "account":
            self.virtual.forget(user)

    async def on_deleted(self, user: str, handed: Handed) -> None:
        """Who gets the JID next inherits nothing."""
        await self.records.erase(user, handed)
        self._forget(user)

    async def _erase(self, user: str) -> None:
        """Erase all that is kept of a bare JID whose account stays. Raises LinkDown: their presence can't be made plain now."""
        await self.presence.opt_out(user)
        self.virtual.forget(user)
        await self.virtual.flushed()
        await self.records.erase(user)
        self._forget(user)

    def _forget(self, user: str) -> None:
        self.presence.forget(user)
        self.levels.forget(user)

    def on_message(self, message: Message) -> None:
        self.presence.on_message(message)

    def on_stored(self, fact: Fact) -> None:
        self.presence.on_stored(fact)


class NotStarted(Exception):
    """The database can't be opened; the reason."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """Rapport while it runs: opened and connecting inside, drained and closed after. Raises NotStarted."""
    try:
        database = await Database.open(settings.storage.url)
    except (DatabaseTooNew, OSError) as error:
        raise NotStarted(f"[storage] {error}") from error
    try:
        ledger = await Ledger.open(database, settings.levels.half_life)
        app = App(settings, database, ledger, Queue(database), await ledger.mark())
        try:
            await app.open()
        except NameTaken as error:
            raise NotStarted(f"[[virtual]] {error}") from error
        stream = asyncio.create_task(app.stream.run(app.router.take, app.server.up, app.server.down))
        try:
            yield app
        finally:
            await app.drain()
            app.stream.close()
            await stream
    finally:
        await database.close()


def run(settings: Settings) -> int:
    """Run the component until SIGTERM or SIGINT; the exit status."""
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with running(settings) as app:
            await app.control.start()
            web = Web(app.health, app.metrics)
            try:
                if settings.http is not None:
                    await web.start(*settings.http.listen)
                log.info("rapport.started component=%s hosts=%s", settings.component.jid, ",".join(settings.component.served_hosts))
                _tell_systemd("READY=1")
                await stop.wait()
            finally:
                await web.stop()
                await app.control.stop()
    except (NotStarted, InUse, OSError) as error:
        log.critical("rapport.not_started reason=%s", " ".join(str(error).split()))
        return 1
    log.info("rapport.stopped")
    return 0


def _tell_systemd(state: str) -> None:
    """Where systemd started us and asks for it (sd_notify(3)). Raises OSError."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.sendto(state.encode(), f"\0{path[1:]}" if path.startswith("@") else path)


PROBE = 10.0
"""Seconds that a check, and an import without a running component, wait for the stream and the link."""


async def probe(settings: Settings) -> Sequence[Check]:
    """What a connection of our own finds (`rapport check` where none is running)."""
    try:
        async with running(settings) as app:
            rows = [*await app.checks()]
            if settings.http is not None:
                rows.append(await _http(app, settings.http.listen))
            return rows
    except NotStarted as error:
        return [Check("storage", False, str(error), "[storage] url here, or the database that it names")]


async def _http(app: App, listen: Listen) -> Check:
    web = Web(app.health, app.metrics)
    try:
        await web.start(*listen)
    except OSError as error:
        return Check("http", False, str(error), "[http] listen here, or the program that has this address")
    finally:
        await web.stop()
    return Check("http", True, f"{listen.host}:{listen.port} is free")


async def importing(settings: Settings, users: Sequence[str]) -> AsyncGenerator[Mapping[str, Any]]:
    """Import these users' archives with a connection of our own (`rapport import-archive` where none is running).

    Raises NotStarted.
    """
    async with running(settings) as app:
        await app.server.settled(PROBE)
        async for step in app.importer.run(users):
            yield step
