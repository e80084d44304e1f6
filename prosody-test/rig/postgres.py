"""A private PostgreSQL cluster in a temporary directory: fsync on, UNIX socket and a free port of 127.0.0.1."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg

from rig.wait import free_ports

SUPERUSER = "postgres"


class Postgres:
    """A cluster; use it as a context manager, or `start` and `stop` it."""

    def __init__(self) -> None:
        self._bin = binaries()
        self.dir = Path(tempfile.mkdtemp(prefix="rapport-pg-"))
        self.port = free_ports(1)[0]
        self._data = self.dir / "data"
        self._numbers = itertools.count(1)
        # PostgreSQL refuses to run as root.
        self._as: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / program), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.dir,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout}")

    def start(self) -> None:
        """Make the cluster on the first start; return when it accepts connections."""
        if not self._data.exists():
            self._run("initdb", "-D", str(self._data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
            with (self._data / "postgresql.conf").open("a", encoding="utf-8") as conf:
                conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{self.dir}'\n")
        # A log file of its own: pg_ctl would hand its pipe down to the server, and the reader never see the end.
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.dir / "postgres.log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """End it; `mode`: smart, fast or immediate (as pulling the plug). Idempotent."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def database(self) -> str:
        """Make a new empty database; its URL."""
        name = f"rig{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def log(self) -> str:
        return (self.dir / "postgres.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


def binaries() -> Path:
    """The directory of initdb and pg_ctl: on PATH, else the newest of Debian's.

    Raises:
        FileNotFoundError: PostgreSQL's server is not installed.
    """
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].split(".")[0]))
    if not found:
        raise FileNotFoundError("initdb is neither on PATH nor under /usr/lib/postgresql (Debian: apt install postgresql)")
    return found[-1].parent
