"""What `rapport init` prints is all that a Prosody of one's own needs."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.process import Process
from rig.wait import accepts, eventually, free_ports

from tests.cli.running import rapport


def before(folder: Path, client_port: int) -> str:
    """A Prosody as it was before Rapport."""
    return f"""
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ info = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {client_port} }}
s2s_ports = {{}}
c2s_require_encryption = false
modules_enabled = {{ "roster", "saslauth", "disco", "presence", "message", "iq", "blocklist", "mam" }}
VirtualHost "example.org"
"""


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory with rapport.toml, and a Prosody that runs with what `rapport init` has printed."""
    client_port, port = free_ports(2)
    words = ("--server", "prosody", "--host", "example.org", "--port", str(port), "--module-dir", str(tmp_path / "modules"))
    done = await rapport("init", *words, at=tmp_path)
    assert (done.status, done.err) == (0, "")
    install = re.search(r"^--\s+(install .*)$", done.out, re.MULTILINE)
    assert install is not None
    copying = await asyncio.create_subprocess_exec(*install[1].split())
    assert await copying.wait() == 0
    (tmp_path / "data").mkdir()
    (tmp_path / "certs").mkdir()
    (tmp_path / "prosody.cfg.lua").write_text(before(tmp_path, client_port) + done.out)
    prosody = Process(["prosody", "--config", str(tmp_path / "prosody.cfg.lua"), "-F"], tmp_path / "prosody.out")
    await prosody.start()
    await eventually(lambda: accepts(port), 15, "Prosody takes components")
    yield tmp_path
    await prosody.end()


async def test_the_check_finds_all_well_right_after(folder: Path) -> None:
    done = await rapport("check", at=folder)
    assert (done.status, done.err) == (0, "")
    assert {line.split()[0] for line in done.out.splitlines()} == {
        "check",
        "stream",
        "link",
        "roster",
        "presence",
        "tap",
        "gate",
        "storage",
    }
    assert "FAILS" not in done.out


async def test_the_check_names_the_secret_if_it_is_another(folder: Path) -> None:
    done = await rapport("check", at=folder, RAPPORT_COMPONENT__SECRET="another")
    assert done.status == 1
    assert re.search(r"^stream +FAILS", done.out, re.MULTILINE)
    failing = [line for line in done.out.splitlines() if "FAILS" in line]
    assert all('component_secret of Component "rapport.example.org"' in line for line in failing)
    assert "another" not in done.out + done.err


async def test_the_check_and_the_import_name_a_database_that_is_not_there(folder: Path) -> None:
    done = await rapport("check", at=folder, RAPPORT_STORAGE__URL="postgresql://x:pw@127.0.0.1:1/y")
    assert done.status == 1
    assert re.search(r"^storage +FAILS", done.out, re.MULTILINE)
    assert "pw@" not in done.out + done.err
    done = await rapport("import-archive", "alice", at=folder, RAPPORT_STORAGE__URL="sqlite:////nowhere/rapport.db")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
