"""A private Prosody for the demo: on loopback, in a directory of its own, gone afterwards."""

import asyncio
import contextlib
import secrets
import shutil
import socket
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

HOST = "localhost"
COMPONENT = "rapport.localhost"
PASSWORD = "demo"  # noqa: S105 - of accounts that live as long as the demo, on loopback
START = 10.0
"""Seconds that Prosody has to come up."""

_CONFIG = """\
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
plugin_paths = {{ "{modules}" }}
run_as_root = true
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
component_ports = {{ {component} }}
component_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
network_settings = {{ nagle = false }}
authentication = "internal_plain"
storage = "internal"
log = {{ info = "{dir}/prosody.log" }}
modules_enabled = {{ "roster", "saslauth", "disco", "presence", "message", "iq", "ping", "carbons", "pep", "blocklist", "mam",
    "vcard4", "vcard_legacy", "offline", "version", "smacks" }}
modules_disabled = {{ "s2s", "tls", "limits" }}
VirtualHost "{host}"
    modules_enabled = {{ "rapport" }}
    rapport_component = "{jid}"
    disco_items = {{ {{ "{jid}", "Rapport" }} }}
Component "{jid}"
    component_secret = "{secret}"
    modules_enabled = {{ "rapport" }}
"""


class Missing(Exception):
    """Prosody is not installed, or does not start."""


class DemoServer:
    """`rosters`: user → those with whom they share presence both ways, as (user, name) pairs."""

    def __init__(self, directory: Path, rosters: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        self.directory = directory
        self.secret = secrets.token_urlsafe(24)
        self.c2s_port, self.component_port = _free_ports(2)
        self._process: asyncio.subprocess.Process | None = None
        config = _CONFIG.format(
            dir=directory,
            modules=files("config") / "prosody",
            c2s=self.c2s_port,
            component=self.component_port,
            host=HOST,
            jid=COMPONENT,
            secret=self.secret,
        )
        (directory / "prosody.cfg.lua").write_text(config)
        for user, contacts in rosters.items():
            self._write(user, "accounts", f'return {{ ["password"] = "{PASSWORD}" }};\n')
            items = [f'["{jid}@{HOST}"] = {{ subscription = "both", name = "{name}", groups = {{}} }};' for jid, name in contacts]
            self._write(user, "roster", "return { [false] = { version = 1, pending = {} };\n" + "\n".join(items) + "\n};\n")

    def _write(self, user: str, store: str, text: str) -> None:
        folder = self.directory / "data" / HOST / store
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{user}.dat").write_text(text)

    async def start(self) -> None:
        """Raises Missing."""
        prosody = shutil.which("prosody")
        if prosody is None:
            raise Missing("prosody is not installed: apt-get install prosody")
        self._process = await asyncio.create_subprocess_exec(
            prosody,
            "--config",
            str(self.directory / "prosody.cfg.lua"),
            "-F",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us: the server goes last
        )
        try:
            async with asyncio.timeout(START):
                while not await _accepts(self.component_port):
                    if self._process.returncode is not None:
                        raise Missing(f"prosody ended at once: {self._last_error()}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Missing(f"prosody did not come up within {START:g} s") from None

    def _last_error(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.directory / "prosody.log").read_text().splitlines()
            return next((line for line in reversed(lines) if "\terror\t" in line), lines[-1] if lines else "no log")
        return "no log"

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
