"""A child process of the rig: it dies with the rig, and its output is kept in a file."""

import asyncio
import itertools
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from rig.wait import until


class Process:
    """A program that can be started, ended, killed and started again."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        # setpriv: a rig that is itself killed leaves no server behind.
        self._argv = ("setpriv", "--pdeathsig", "KILL", *argv)
        self._env = {**os.environ, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.log = log

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id (setpriv execs into the program)."""
        if self._process is None:
            raise RuntimeError(f"{self._argv[3]} was not started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        with self.log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=self._env
            )

    async def end(self, by: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Send the signal, wait, return the exit code (negative: the signal that ended it). Idempotent.

        Raises:
            TimeoutError: it did not end in time, and was killed.
        """
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(by)
            if by is not signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
            try:
                await asyncio.wait_for(process.wait(), within)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise TimeoutError(f"{self._argv[3]} did not end on {by.name} within {within} s") from None
        assert process.returncode is not None
        return process.returncode

    def signal(self, which: signal.Signals) -> None:
        """Send a signal (SIGSTOP, SIGCONT, SIGHUP …) and go on."""
        os.kill(self.pid, which)

    async def exited(self, within: float = 10.0) -> int:
        """Wait until it ends by itself; its exit code."""
        await until(lambda: not self.running, within, f"{self._argv[3]} ends")
        assert self.returncode is not None
        return self.returncode


def lines_of(file: Path, pattern: str = "") -> list[str]:
    """The lines of a log file in which the regular expression is found; none if there is no file yet."""
    if not file.exists():
        return []
    wanted = re.compile(pattern)
    return [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if wanted.search(line)]


def entries_of(lines: Sequence[str], start: str) -> list[str]:
    """The entries of a log: of many lines may be one, of which only the first matches `start`."""
    starts = [number for number, line in enumerate(lines) if re.match(start, line)]
    return ["\n".join(lines[start:end]) for start, end in itertools.pairwise([*starts, len(lines)])]
