"""A private Prosody (0.12 or later)."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from rig import xml
from rig.process import Process, entries_of, lines_of
from rig.server import OBSERVER, PASSWORD, Contact, Host, Server
from rig.wait import accepts, eventually, free_ports

OUR_MODULES = Path(__file__).parents[2] / "config" / "prosody"
RIG_MODULES = Path(__file__).parent / "plugins"
# What a usual server loads, and the shell by which the rig administers it.
MODULES = (
    *("roster", "saslauth", "disco", "presence", "message", "iq", "ping", "carbons", "pep", "blocklist", "mam"),
    *("vcard4", "vcard_legacy", "offline", "adhoc", "version", "time", "smacks", "csi_simple", "bookmarks"),
    *("admin_socket", "admin_shell"),
)
MODULE_OF = {"archive": "mam", "offline": "offline"}

FAULT = re.compile(r":rapport\terror\t|modulemanager\terror\t.*rapport|(?i:traceback)")
# Prosody 0.12.3 sometimes trips over a connection that closes (net/server_epoll.lua:608, nothing of a module in the stack), and goes on.
ONLY_SOCKETS = re.compile(r"\A[^\n]*general\terror\t\n\tstack traceback:(\n\t(\[C\]|/usr/bin/prosody|\S*/net/server_\w+\.lua)[^\n]*)+\Z")


def lua(value: str) -> str:
    """A Lua string literal."""
    escaped = "".join(f"\\{byte:03d}" if byte < 32 or byte in b'"\\' or byte > 126 else chr(byte) for byte in value.encode())
    return f'"{escaped}"'


def lua_list(values: Sequence[str]) -> str:
    return "{ " + ", ".join(map(lua, values)) + " }"


def datafile(name: str) -> str:
    """The file name that mod_storage_internal gives to a key."""
    return "".join(each if each.isascii() and each.isalnum() else "".join(f"%{byte:02x}" for byte in each.encode()) for each in name)


class Prosody(Server):
    """See `Server`.

    Args (beside those of `Server`):
        modules: more modules for all hosts.
        extra, host_extra, component_extra: more lines of configuration: global, of each host, of the component.
        log_level: debug is slow; info is enough for most.
    """

    kind = "prosody"

    def __init__(
        self,
        hosts: Sequence[Host] | None = None,
        *,
        modules: Sequence[str] = (),
        extra: str = "",
        host_extra: str = "",
        component_extra: str = "",
        log_level: str = "info",
        **common: Any,
    ) -> None:
        super().__init__(*(() if hosts is None else (hosts,)), **common)
        self._modules = (*MODULES, *modules)
        self._extra = extra
        self._host_extra = host_extra
        self._component_extra = component_extra
        self._log_level = log_level
        self._log = self.dir / "prosody.log"
        self._config = self.dir / "prosody.cfg.lua"
        self._admin = self.dir / "admin.sock"
        self._process = Process(["prosody", "--config", str(self._config), "-F"], self.dir / "prosody.out")
        self.c2s_port, self.component_port, self.s2s_port, self.http_port = free_ports(4)

    # -- files

    def write_config(self) -> None:
        """(Re)write prosody.cfg.lua from the present attributes; `start` does it too."""
        s2s = self.peers is not None
        left_out = [MODULE_OF[name] for name in self.without]
        modules = [each for each in self._modules if each not in left_out] + (["s2s", "dialback", "rig_peers"] if s2s else [])
        ours = ["rapport"] if self.module else []
        peers = "{ " + ", ".join(f"[{lua(name)}] = {port}" for name, port in (self.peers or {}).items()) + " }"
        lines = [
            "run_as_root = true",
            f"pidfile = {lua(str(self.dir / 'prosody.pid'))}",
            f"data_path = {lua(str(self.dir / 'data'))}",
            f"plugin_paths = {lua_list([str(OUR_MODULES), str(RIG_MODULES)])}",
            f"admin_socket = {lua(str(self._admin))}",
            'interfaces = { "127.0.0.1" }',
            f"c2s_ports = {{ {self.c2s_port} }}",
            f"component_ports = {{ {self.component_port} }}",
            'component_interfaces = { "127.0.0.1" }',
            f"s2s_ports = {{ {self.s2s_port if s2s else ''} }}",
            f"http_ports = {{ {self.http_port} }}",
            'http_interfaces = { "127.0.0.1" }',
            "https_ports = {}",
            "c2s_require_encryption = false",
            "s2s_require_encryption = false",
            "s2s_secure_auth = false",
            "allow_unencrypted_plain_auth = true",
            "network_settings = { nagle = false }",
            'authentication = "internal_plain"',
            'storage = "internal"',
            "consider_bosh_secure = true",
            "consider_websocket_secure = true",
            f"rig_peers = {peers}",
            f"log = {{ {self._log_level} = {lua(str(self._log))} }}",
            f"admins = {lua_list(self.admins)}",
            f"modules_enabled = {lua_list(modules)}",
            f"modules_disabled = {lua_list(['limits', 'tls', *left_out, *([] if s2s else ['s2s'])])}",
            self._extra,
        ]
        for host in self.hosts:
            lines.append(f"VirtualHost {lua(host.name)}")
            lines.append(f'disco_items = {{ {{ {lua(self.component)}, "Rapport" }} }}')
            if host.served and ours:
                lines += [
                    f"modules_enabled = {lua_list(ours)}",
                    f"rapport_component = {lua(self.component)}",
                    f"rapport_grace = {self.grace}",
                    f"rapport_buffer = {self.buffer}",
                ]
            lines.append(self._host_extra)
        lines += [f"Component {lua(self.component)}", f"component_secret = {lua(self.secret)}"]
        if ours:
            lines += [
                f"modules_enabled = {lua_list(ours)}",
                f"rapport_grace = {self.grace}",
                f"rapport_buffer = {self.buffer}",
            ]
        lines.append(self._component_extra)
        lines += [f"Component {lua(other)}\ncomponent_secret = {lua(self.secret)}" for other in self.others]
        if self.muc:
            lines += [
                f'Component {lua(f"conference.{self.domain}")} "muc"',
                f"modules_enabled = {lua_list(['muc_mam', *(ours if self.rooms else [])])}",
                "muc_room_locking = false",
                f"rapport_component = {lua(self.component)}",
            ]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _write_accounts(self) -> None:
        (self.dir / "certs").mkdir()
        for number, host in enumerate(self.hosts):
            users = {**host.users, **({OBSERVER: ()} if number == 0 else {})}
            base = self.dir / "data" / datafile(host.name)
            (base / "accounts").mkdir(parents=True)
            (base / "roster").mkdir()
            for user, roster in users.items():
                account = f'return {{ ["password"] = {lua(PASSWORD)}; }};\n'
                (base / "accounts" / f"{datafile(user)}.dat").write_text(account, encoding="utf-8")
                items = "".join(f"[{lua(contact.jid)}] = {item(contact)};\n" for contact in roster)
                head = '[false] = { ["version"] = 1; ["pending"] = {}; };\n'
                (base / "roster" / f"{datafile(user)}.dat").write_text(f"return {{\n{head}{items}}};\n", encoding="utf-8")

    # -- running

    async def start(self) -> None:
        if not (self.dir / "data").exists():
            self._write_accounts()
        self.write_config()
        await self._process.start()
        await eventually(self._up, 15, "Prosody accepts connections")
        await self.lua("return 1")  # it has started: before that, SIGTERM ends it at once

    async def _up(self) -> bool:
        if not self._process.running:
            raise RuntimeError("Prosody ended: " + "\n".join(lines_of(self._process.log)[-20:] + self.log_lines()[-20:]))
        return await accepts(self.c2s_port) and await accepts(self.component_port) and await accepts(self._admin)

    async def stop(self) -> None:
        await self._process.end()

    async def kill(self) -> None:
        await self._process.end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, which: signal.Signals) -> None:
        self._process.signal(which)

    def log_lines(self, pattern: str = "") -> list[str]:
        return lines_of(self._log, pattern)

    def faults(self) -> list[str]:
        """Tracebacks, and the errors of our module (Prosody has others that are of no account)."""
        entries = entries_of(self.log_lines(), r"[A-Z][a-z]{2} \d\d ")
        return [entry for entry in entries if FAULT.search(entry) and not ONLY_SOCKETS.search(entry)]

    # -- administration while it runs

    async def shell(self, line: str) -> str:
        """Run a line in Prosody's admin shell (a line that starts with `>` is Lua in the global environment).

        Raises:
            RuntimeError: the shell reports an error.
        """
        reader, writer = await asyncio.open_unix_connection(str(self._admin))
        incoming = xml.Incoming()
        output: list[str] = []
        try:
            writer.write(b"<stream:stream xmlns='xmpp:prosody.im/admin' xmlns:stream='http://etherx.jabber.org/streams'>")
            writer.write(f"<repl-input>{escape(line)}</repl-input>".encode())
            async with asyncio.timeout(10):
                while True:
                    data = await reader.read(65536)
                    if not data:
                        raise RuntimeError(f"the admin shell closed after {line}")
                    for element in incoming.feed(data):
                        if xml.name(element) == "repl-output":
                            output.append(element.text or "")
                        elif xml.name(element) == "repl-result":
                            if element.get("type") == "error":
                                raise RuntimeError(f"{line}: {element.text}")
                            return "\n".join([*output, element.text or ""])
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def lua(self, code: str) -> str:
        """Run Lua in Prosody's global environment; what it returns, as text."""
        return await self.shell("> " + " ".join(code.split("\n")))

    async def add_account(self, user: str, host: str | None = None) -> None:
        await self.shell(f"user:create({lua(f'{user}@{host or self.domain}')}, {lua(PASSWORD)})")

    async def delete_account(self, user: str, host: str | None = None) -> None:
        await self.shell(f"user:delete({lua(f'{user}@{host or self.domain}')})")

    async def set_contact(self, user: str, contact: Contact, host: str | None = None) -> None:
        await self._change_roster(user, host, contact.jid, item(contact))

    async def remove_contact(self, user: str, jid: str, host: str | None = None) -> None:
        await self._change_roster(user, host, jid, "nil")

    async def _change_roster(self, user: str, host: str | None, jid: str, value: str) -> None:
        # As mod_roster_command and mod_admin_rest do: change, save, push.
        where = f"{lua(user)}, {lua(host or self.domain)}"
        await self.lua(
            "local rm = require 'core.rostermanager' "
            f"local roster = rm.load_roster({where}) roster[{lua(jid)}] = {value} "
            f"assert(rm.save_roster({where}, roster, {lua(jid)})) rm.roster_push({where}, {lua(jid)}) return true"
        )

    async def load_module(self) -> None:
        for host in [self.component, *self.served_hosts]:
            await self.shell(f"module:load('rapport', {lua(host)})")

    async def unload_module(self) -> None:
        for host in [*self.served_hosts, self.component]:
            await self.shell(f"module:unload('rapport', {lua(host)})")

    async def reload_module(self) -> None:
        for host in [self.component, *self.served_hosts]:
            await self.shell(f"module:reload('rapport', {lua(host)})")


def item(contact: Contact) -> str:
    """A roster item as Prosody holds it."""
    groups = " ".join(f"[{lua(group)}] = true;" for group in contact.groups)
    name = f"name = {lua(contact.name)}; " if contact.name else ""
    return f"{{ subscription = {lua(contact.subscription)}; {name}groups = {{ {groups} }} }}"
