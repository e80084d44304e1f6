"""`rapport run` as systemd runs it (config/systemd/rapport.service)."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.rapport import Rapport


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.setblocking(False)
        bound.bind(str(tmp_path / "notify"))
        yield bound


async def test_systemd_is_told_when_the_command_line_is_answered_and_a_check_waits_for_the_link(prosody, systemd):
    rapport = Rapport(prosody, env={"NOTIFY_SOCKET": systemd.getsockname()})
    try:
        await rapport.launch()
        async with asyncio.timeout(15):
            assert await asyncio.get_running_loop().sock_recv(systemd, 100) == b"READY=1"
        done = await rapport.cli("check")
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        await rapport.discard()
