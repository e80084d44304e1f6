"""A private ejabberd (23.01 or later)."""

import asyncio
import json
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.names import NameServer
from rig.process import Process, entries_of, lines_of
from rig.server import OBSERVER, PASSWORD, Contact, Host, Server
from rig.wait import accepts, eventually, free_ports

OUR_MODULE = Path(__file__).parents[2] / "config" / "ejabberd" / "mod_rapport.erl"
# What a usual server loads, and the API by which the rig administers it.
MODULES: Mapping[str, Mapping[str, Any]] = {
    "mod_adhoc": {},
    "mod_admin_extra": {},
    "mod_blocking": {},
    "mod_caps": {},
    "mod_carboncopy": {},
    "mod_client_state": {},
    "mod_disco": {},
    "mod_http_api": {},
    "mod_last": {},
    "mod_mam": {"default": "always"},
    "mod_offline": {},
    "mod_ping": {},
    "mod_privacy": {},
    "mod_private": {},
    "mod_pubsub": {"plugins": ["flat", "pep"]},
    "mod_roster": {},
    "mod_shared_roster": {},
    "mod_stream_mgmt": {},
    "mod_time": {},
    "mod_vcard": {},
    "mod_vcard_xupdate": {},
    "mod_version": {},
}

FAULT = re.compile(r"\A\S+ \S+ \[(error|critical)\]")
# mod_caps asks for the hosts of mod_muc though that is not loaded (23.01), when a presence comes from a bare domain.
ONLY_CAPS = re.compile(r"crashed when running mod_caps:\S+\n\*\* exception error: {module_not_loaded,mod_muc,")
MODULE_OF = {"archive": "mod_mam", "offline": "mod_offline"}
# The module's source -> its beam.
_compiled: dict[bytes, bytes] = {}


class Ejabberd(Server):
    """See `Server`. Of the peers no more than one may have a name without a dot, for which there is no SRV.

    Args (beside those of `Server`):
        modules: more modules for all hosts, with their options; None: not this one.
        options: more top-level options.
    """

    kind = "ejabberd"

    def __init__(
        self,
        hosts: Sequence[Host] | None = None,
        *,
        modules: Mapping[str, Mapping[str, Any] | None] | None = None,
        options: Mapping[str, Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(*(() if hosts is None else (hosts,)), **common)
        self._modules = {**MODULES, **(modules or {})}
        self._options = options or {}
        self._log = self.dir / "ejabberd.log"
        self._config = self.dir / "ejabberd.yml"
        self._ebin = self.dir / "ebin"
        code = next(Path("/usr/lib").glob("*/ejabberd-*/ebin"))
        libraries = code.parents[1]
        headers = [code.parent / "include", next(Path("/usr/lib/erlang/lib").glob("p1_xmpp-*/include"))]
        include = [option for directory in headers for option in ("-I", str(directory))]
        self._erlc = ["erlc", "-pa", str(code), *include, "-o", str(self._ebin), str(OUR_MODULE)]
        # Neither node name nor epmd, and any number of them side by side; idle ones leave the CPU to the others.
        idle = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
        mnesia = ["-mnesia", "dir", json.dumps(str(self.dir / "mnesia"))]
        erl = ["erl", "-noinput", *idle, "-pa", str(self._ebin), *mnesia, "-s", "ejabberd"]
        self._process = Process(
            erl,
            self.dir / "ejabberd.out",
            {
                "ERL_LIBS": str(libraries),
                "ERL_INETRC": str(self.dir / "inetrc"),
                "EJABBERD_CONFIG_PATH": str(self._config),
                "EJABBERD_LOG_PATH": str(self._log),
                "HOME": str(self.dir),
            },
        )
        self.c2s_port, self.component_port, self.s2s_port, self.http_port, self._names_port = free_ports(5)
        self._names = NameServer(lambda: self.peers or {})
        self._seeded = False

    # -- files

    def write_config(self) -> None:
        """(Re)write ejabberd.yml from the present attributes; `start` does it too."""
        left_out = [MODULE_OF[name] for name in self.without]
        modules = {name: options for name, options in self._modules.items() if options is not None and name not in left_out}
        if self.muc:
            modules["mod_muc"] = {"host": f"conference.{self.domain}", "default_room_options": {"mam": True, "persistent": True}}
        if self.peers is not None:
            modules["mod_s2s_dialback"] = {}
        options = {"component": self.component, "grace": f"{self.grace} s", "buffer": self.buffer}
        rapport = {"mod_rapport": {**options, **({"rooms": True} if self.rooms else {})}}
        local: dict[str, Any] = {"ip": "127.0.0.1"}
        components = {domain: {"password": self.secret} for domain in (self.component, *self.others)}
        listen: list[dict[str, Any]] = [
            {**local, "port": self.c2s_port, "module": "ejabberd_c2s", "starttls": False},
            {**local, "port": self.component_port, "module": "ejabberd_service", "hosts": components},
            {**local, "port": self.http_port, "module": "ejabberd_http", "request_handlers": {"/api": "mod_http_api"}},
        ]
        if self.peers is not None:
            listen.append({**local, "port": self.s2s_port, "module": "ejabberd_s2s_in"})
        config: dict[str, Any] = {
            "hosts": [host.name for host in self.hosts],
            "loglevel": "info",
            "auth_method": "internal",
            "s2s_use_starttls": False,
            "listen": listen,
            "acl": {"local": {"user_regexp": ""}, "admin": {"user": list(self.admins)}, "loopback": {"ip": ["127.0.0.0/8"]}},
            "access_rules": {"local": [{"allow": "local"}]},
            "api_permissions": {"rig": {"who": [{"acl": "loopback"}], "what": "*"}},
            "modules": modules,
            **self._options,
        }
        for name, port in (self.peers or {}).items():
            if "." not in name:
                config["outgoing_s2s_port"] = port
        if self.module:
            config["append_host_config"] = {host: {"modules": rapport} for host in self.served_hosts}
        # JSON is YAML.
        self._config.write_text(json.dumps(config, indent=2), encoding="utf-8")
        inetrc = ['{resolv_conf, ""}', '{hosts_file, ""}', f"{{nameserver, {{127,0,0,1}}, {self._names_port}}}", "{lookup, [file]}"]
        (self.dir / "inetrc").write_text("".join(f"{entry}.\n" for entry in inetrc), encoding="utf-8")

    async def _compile(self) -> None:
        self._ebin.mkdir(exist_ok=True)
        beam = self._ebin / f"{OUR_MODULE.stem}.beam"
        source = OUR_MODULE.read_bytes()
        if source not in _compiled:
            erlc = await asyncio.create_subprocess_exec(*self._erlc, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
            output, _ = await erlc.communicate()
            if erlc.returncode or output:
                raise RuntimeError(f"erlc {OUR_MODULE.name}: {output.decode()}")
            _compiled[source] = beam.read_bytes()
        beam.write_bytes(_compiled[source])

    # -- running

    async def start(self) -> None:
        if self._seeded:
            self.write_config()
            await self._run()
            return
        await self._compile()
        # Accounts and rosters come by the API: mod_rapport must not take them for changes.
        wanted, self.module = self.module, False
        self.write_config()
        await self._run()
        await self._seed()
        self._seeded = True
        if wanted:
            await self.load_module()

    async def _run(self) -> None:
        await self._names.listen(self._names_port)
        await self._process.start()
        await eventually(self._up, 20, "ejabberd accepts connections")
        await self.api("status")  # it has started: its ports are open before its modules are there

    async def _up(self) -> bool:
        if not self._process.running:
            raise RuntimeError("ejabberd ended: " + "\n".join(lines_of(self._process.log)[-20:] + self.log_lines()[-20:]))
        return await accepts(self.http_port) and await accepts(self.c2s_port) and await accepts(self.component_port)

    async def _seed(self) -> None:
        for number, host in enumerate(self.hosts):
            for user, roster in {**host.users, **({OBSERVER: ()} if number == 0 else {})}.items():
                await self.add_account(user, host.name)
                for contact in roster:
                    await self.set_contact(user, contact, host.name)

    async def stop(self) -> None:
        await self._process.end()

    async def discard(self) -> None:
        self._names.close()
        await super().discard()

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
        """Crashes, and the errors of our module (ejabberd has others that are of no account)."""
        entries = entries_of(self.log_lines(), r"\d{4}-\d\d-\d\d ")
        return [
            entry for entry in entries if FAULT.search(entry) and re.search(r"mod_rapport|crash", entry) and not ONLY_CAPS.search(entry)
        ]

    # -- administration while it runs

    async def api(self, command: str, **arguments: Any) -> Any:
        """Run a command of ejabberd's API.

        Raises:
            RuntimeError: it reports an error.
        """
        body = json.dumps(arguments).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http_port)
        try:
            head = f"POST /api/{command} HTTP/1.1\r\nHost: {self.domain}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            async with asyncio.timeout(20):
                answer = await reader.read()
        finally:
            writer.close()
        top, _, content = answer.decode().partition("\r\n\r\n")
        if " 200 " not in top.partition("\r\n")[0]:
            raise RuntimeError(f"{command}: {top.partition(chr(13))[0]} {content}")
        return json.loads(content) if content else None

    async def add_account(self, user: str, host: str | None = None) -> None:
        await self.api("register", user=user, host=host or self.domain, password=PASSWORD)

    async def delete_account(self, user: str, host: str | None = None) -> None:
        await self.api("unregister", user=user, host=host or self.domain)

    async def set_contact(self, user: str, contact: Contact, host: str | None = None) -> None:
        name, _, domain = contact.jid.rpartition("@")
        await self.api(
            "add_rosteritem",
            localuser=user,
            localhost=host or self.domain,
            user=name,
            host=domain,
            nick=contact.name,
            group=";".join(contact.groups),
            subs=contact.subscription,
        )

    async def remove_contact(self, user: str, jid: str, host: str | None = None) -> None:
        name, _, domain = jid.rpartition("@")
        await self.api("delete_rosteritem", localuser=user, localhost=host or self.domain, user=name, host=domain)

    async def load_module(self) -> None:
        await self._reconfigure(True)

    async def unload_module(self) -> None:
        await self._reconfigure(False)

    async def _reconfigure(self, loaded: bool) -> None:
        self.module = loaded
        self.write_config()
        await self.api("reload_config")

    async def reload_module(self) -> None:
        await self._compile()
        for host in self.served_hosts:
            done = await self.api("restart_module", host=host, module="mod_rapport")
            if done not in (0, {"res": 0}):
                raise RuntimeError(f"mod_rapport of {host} was not replaced: {done}")
