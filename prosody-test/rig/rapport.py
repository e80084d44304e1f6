"""Rapport itself, as a subprocess: configuration file, start, end, command line."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from rig import http, xml
from rig.process import Process, lines_of
from rig.raw import RawClient
from rig.server import OBSERVER, Server
from rig.stream import StreamError
from rig.wait import eventually, free_ports

COMMAND = Path(sys.prefix) / "bin" / "rapport"


def toml(tables: Mapping[str, Any]) -> str:
    """TOML of nested tables: str, bool, int, float, lists of these, tables and lists of tables."""
    lines: list[str] = []
    _table(tables, "", lines)
    return "\n".join(lines) + "\n"


def _table(table: Mapping[str, Any], prefix: str, lines: list[str]) -> None:
    inner: list[tuple[str, str, Mapping[str, Any]]] = []
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            inner.append((f"[{path}]", path, value))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            inner += [(f"[[{path}]]", path, each) for each in value]
        else:
            # A JSON string, number, boolean or list of them is a TOML one too.
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for head, path, value in inner:
        lines.append(head)
        _table(value, f"{path}.", lines)


class Rapport:
    """One configuration with its storage, run as often as wanted.

    Args:
        server: the component's settings are made for it.
        settings: more tables of the configuration file; a table given here is merged over the made one.
        storage: a URL; by default SQLite in a directory of its own.
        env: more environment variables of the process.
    """

    def __init__(
        self,
        server: Server,
        settings: Mapping[str, Any] | None = None,
        *,
        storage: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.server = server
        self.dir = Path(tempfile.mkdtemp(prefix="rapport-rig-"))
        self.config = self.dir / "rapport.toml"
        self.http_port = free_ports(1)[0]
        self.storage = storage or f"sqlite:///{self.dir}/rapport.db"
        self._process = Process([str(COMMAND), "run", "--config", str(self.config)], self.dir / "rapport.log", env)
        self._env = env
        self.settings: dict[str, Any] = {
            "component": {
                "jid": server.component,
                "secret": server.secret,
                "host": "127.0.0.1",
                "port": server.component_port,
                "served_hosts": server.served_hosts,
                "admins": list(server.admins),
            },
            "storage": {"url": self.storage},
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
        }
        for table, values in (settings or {}).items():
            merged = isinstance(values, Mapping) and isinstance(self.settings.get(table), Mapping)
            self.settings[table] = {**self.settings[table], **values} if merged else values
        self.write_config()

    def write_config(self) -> None:
        """(Re)write the configuration file from `settings`."""
        self.config.write_text(toml(self.settings), encoding="utf-8")
        self.config.chmod(0o600)

    async def start(self, within: float = 20.0) -> None:
        """Run it and wait until it works: linked if the server has the module, else answering at its domain.

        Raises:
            RuntimeError: it ended instead; the text is the end of its log.
            TimeoutError: it did not get there in time.
        """
        await self._process.start()
        await (self.linked if self.server.module else self.answering)(within)

    async def launch(self) -> None:
        """Run it, and wait for nothing."""
        await self._process.start()

    async def answering(self, within: float = 20.0) -> None:
        """Wait until it answers disco#info at its domain."""
        async with RawClient(self.server) as observer:
            await observer.connect(f"{OBSERVER}@{self.server.domain}/rapport")
            await self._wait(lambda: self._answers(observer), within, "answers disco#info")

    async def linked(self, within: float = 20.0) -> None:
        """Wait until it answers, and its health says that all works, the link too."""
        await self.answering(within)
        await self._wait(self.healthy, within, "is linked")

    async def healthy(self) -> bool:
        """Whether its health page says so."""
        try:
            status, _ = await http.get(self.http_port, "/health")
        except (OSError, TimeoutError):
            return False
        return status == 200

    async def _wait(self, condition: Callable[[], Awaitable[bool]], within: float, what: str) -> None:
        try:
            await eventually(condition, within, f"Rapport {what}", every=0.05)
        except TimeoutError as late:
            raise TimeoutError(f"{late}; its log:\n" + "\n".join(self.log_lines()[-30:])) from None

    async def _answers(self, observer: RawClient) -> bool:
        if not self._process.running:
            raise RuntimeError(f"Rapport ended with {self._process.returncode}:\n" + "\n".join(self.log_lines()[-30:]))
        with contextlib.suppress(TimeoutError, StreamError):
            answer = await observer.iq("get", f"<query xmlns='{xml.DISCO_INFO}'/>", self.server.component, within=1)
            return answer.get("type") == "result"
        return False

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    async def stop(self, within: float = 15.0) -> int:
        """SIGTERM; its exit code."""
        return await self._process.end(within=within)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._process.end(signal.SIGKILL)

    async def restart(self) -> None:
        """Stop and start, storage kept."""
        await self.stop()
        await self.start()

    async def exited(self, within: float = 10.0) -> int:
        """Wait until it ends by itself; its exit code."""
        return await self._process.exited(within)

    def signal(self, which: signal.Signals) -> None:
        self._process.signal(which)

    def log_lines(self, pattern: str = "") -> list[str]:
        """The lines of its log in which the regular expression is found."""
        return lines_of(self._process.log, pattern)

    def faults(self) -> list[str]:
        """The lines of its log that no test may leave behind: errors and tracebacks."""
        return self.log_lines(r"\bERROR\b|\bCRITICAL\b|Traceback|never awaited|never retrieved")

    async def cli(self, *args: str, within: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `rapport ARGS --config FILE`; exit code, stdout and stderr.

        Raises:
            TimeoutError: it did not end in time, and was killed.
        """
        return await command(*args, "--config", str(self.config), within=within, env=self._env)

    async def discard(self) -> None:
        """End it and remove its directory."""
        try:
            await self.stop()
        finally:
            await asyncio.to_thread(shutil.rmtree, self.dir, ignore_errors=True)


async def command(
    *args: str, within: float = 60.0, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `rapport ARGS` as it is."""

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(COMMAND), *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
        )

    try:
        return await asyncio.to_thread(run)
    except subprocess.TimeoutExpired as late:
        raise TimeoutError(f"rapport {' '.join(args)} did not end within {within} s: {late.stdout!r}") from None
