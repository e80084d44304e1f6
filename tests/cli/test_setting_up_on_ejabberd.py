"""The steps that `rapport init --server ejabberd` prints, followed word for word on Debian's ejabberd as it comes."""

import asyncio
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import RAPPORT, rapport

APART = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""Own mounts, ports and processes: the ejabberd is private, though its paths and ports are those of the package."""

STOCK = Path("/etc/ejabberd")


def can_be_apart() -> bool:
    return subprocess.run([*APART, "true"], capture_output=True).returncode == 0


def script(folder: Path, steps: list[str], run: str, check: str) -> str:
    """The shell script of an admin: ejabberd is running, then step by step, then Rapport, and its check at last."""
    lines = [
        "set -eu",
        f"cd {shlex.quote(str(folder))}",
        f"export PATH={shlex.quote(str(RAPPORT.parent))}:$PATH",
        "ip link set lo up",
        f"cp -a {STOCK} etc",
        "install -d -o ejabberd -g ejabberd lib log",
        *(f"mount --bind {name} {place}" for name, place in [("etc", STOCK), ("lib", "/var/lib/ejabberd"), ("log", "/var/log/ejabberd")]),
        "ejabberdctl start",
        "ejabberdctl started",
        *steps,
        f"{run} > run.log 2>&1 &",
        "timeout 30 tail -F -n +1 run.log 2> /dev/null | grep -q -m 1 link.up",
        check,
        "ejabberdctl stop",
        "ejabberdctl stopped",
    ]
    return "\n".join(lines)


def with_entries(config: str, printed: str) -> str:
    """Debian's ejabberd.yml with the entry in `listen`, and the rest at the end."""
    entries = re.search(r"^listen:\n(.*?)^(append_host_config:.*)", printed, re.DOTALL | re.MULTILINE)
    assert entries is not None
    assert config.count("\nlisten:\n") == 1
    return config.replace("\nlisten:\n", "\nlisten:\n" + entries[1]) + "\n" + entries[2]


@pytest.mark.skipif(not can_be_apart(), reason="the steps are an admin's: it takes root, and namespaces of one's own")
async def test_the_check_finds_all_well_after_the_steps_and_nothing_else(tmp_path: Path) -> None:
    done = await rapport("init", "--server", "ejabberd", "--host", "localhost", at=tmp_path)
    assert (done.status, done.err) == (0, "")
    steps = re.findall(r"^# {6}(\S.*)$", done.out, re.MULTILINE)
    assert [step.split()[0] for step in steps] == ["runuser", "install", "install", "ejabberdctl", "ejabberdctl", "rapport", "rapport"]
    *install, reload, run, check = steps

    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tmp_path / "new.yml").write_text(with_entries((STOCK / "ejabberd.yml").read_text(), done.out))
    edit = f"cat new.yml > {STOCK}/ejabberd.yml"
    (tmp_path / "steps.sh").write_text(script(tmp_path, [*install, edit, reload], run, check))

    admin = await asyncio.create_subprocess_exec(
        *APART, "bash", str(tmp_path / "steps.sh"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await asyncio.wait_for(admin.communicate(), 120))[0].decode()
    log = tmp_path / "log" / "ejabberd.log"
    assert admin.returncode == 0, output + (log.read_text() if log.exists() else "")
    assert {"stream", "link", "roster", "presence", "tap", "gate", "storage"} <= {line.split(" ")[0] for line in output.splitlines()}
    assert "FAILS" not in output
    assert [line for line in log.read_text().splitlines() if "[error]" in line or ("[warning]" in line and "mod_rapport" in line)] == []
