"""README.md, held to what it says: the scene as it prints, and the way into a Prosody of one's own."""

import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.process import Process, lines_of
from rig.rapport import COMMAND, command
from rig.wait import accepts, eventually, free_ports, until

README = Path(__file__).parents[2] / "README.md"
TIMES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|(?<=\[)\d\d:\d\d(?=\])")


async def test_the_scene_is_as_it_prints() -> None:
    [written] = re.findall(r"^```\n(A private Prosody .*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    done = await command("demo", "--once", within=90)
    assert (done.returncode, done.stderr) == (0, "")
    assert TIMES.sub("TIME", done.stdout).strip() == TIMES.sub("TIME", written).strip()


def steps(word: str) -> list[list[str]]:
    """The commands of the README's steps that begin with this word."""
    return [shlex.split(line) for line in re.findall(rf"^ {{7}}({word}\b.*)$", README.read_text(), re.MULTILINE)]


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """rapport.toml and a running Prosody, which knows of Rapport only what the README's `rapport init` prints."""
    clients, components = free_ports(2)
    [[_, *words, into]] = steps("rapport init")
    assert into.startswith(">/etc/prosody/conf.d/")
    # What differs is where the files lie, and the port: another test's Prosody may have 5347.
    words[words.index("--out") + 1] = str(tmp_path / "rapport.toml")
    done = await command(*words, "--port", str(components))
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.replace("/usr/local/lib/prosody/modules", str(tmp_path / "modules"))
    # Where Prosody can't read the module in place, the first step is to copy it.
    for install in re.findall(r"^-- +(install .*)$", printed, re.MULTILINE):
        copying = Process(shlex.split(install), tmp_path / "install.log")
        await copying.start()
        assert await copying.exited() == 0
    for name in ("data", "certs", "conf.d"):
        (tmp_path / name).mkdir()
    (tmp_path / "conf.d" / "rapport.cfg.lua").write_text(printed)
    (tmp_path / "prosody.cfg.lua").write_text(f"""
run_as_root = true
pidfile = "{tmp_path}/prosody.pid"
data_path = "{tmp_path}/data"
log = {{ info = "{tmp_path}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {clients} }}
s2s_ports = {{}}
modules_enabled = {{ "disco", "roster", "saslauth", "tls", "blocklist", "carbons", "pep", "private", "smacks", "vcard4", "ping", "posix" }}
VirtualHost "localhost"
Include "conf.d/*.cfg.lua"
""")
    prosody = Process(["prosody", "--config", str(tmp_path / "prosody.cfg.lua"), "-F"], tmp_path / "prosody.out")
    await prosody.start()
    await eventually(lambda: accepts(components), 15, "Prosody takes components")
    yield tmp_path
    await prosody.end()


async def test_the_steps_lead_to_a_check_that_is_all_ok(folder: Path) -> None:
    config = ("--config", str(folder / "rapport.toml"))
    database = {"RAPPORT_STORAGE__URL": f"sqlite:///{folder}/rapport.db"}
    rapport = Process([str(COMMAND), "run", *config], folder / "rapport.log", database)
    await rapport.start()
    assert steps("rapport check") == [["rapport", "check"]]
    await until(lambda: lines_of(rapport.log, "link.up"), 15, "the link is up")
    done = await command("check", *config, env=database)
    assert (done.returncode, done.stderr) == (0, "")
    states = [line.split("  ")[0] for line in done.stdout.splitlines()[1:]]
    assert states == ["stream", *(f"{part} example.org" for part in ("link", "roster", "presence", "tap", "gate")), "storage"]
    assert "FAILS" not in done.stdout
    assert await rapport.end() == 0
