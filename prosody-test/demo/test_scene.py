"""`rapport demo` (spec/00-overview.md, Command line): the scene as it is printed, and what is left of it."""

import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.process import Process, lines_of
from rig.rapport import COMMAND, command
from rig.wait import accepts, until

ACTS = ("Presence rules", "Virtual users", "Contact levels")
"""How the titles of the acts begin, in their order."""


def squeezed(text: str) -> str:
    """Without white space: the page breaks lines where it likes."""
    return "".join(text.split())


async def test_the_scene_shows_presence_virtual_users_and_levels_line_by_line(tmp_path: Path) -> None:
    done = await command("demo", "--once", within=90, env={"TMPDIR": str(tmp_path), "COLUMNS": "200"})
    assert (done.returncode, done.stderr) == (0, "")
    page = done.stdout
    titles = [page.index(f"\n{title}") for title in ACTS]
    assert titles == sorted(titles)
    read = squeezed(page)
    for line in (
        "bob sees alice away: she has not answered him yet",
        "carol sees alice do not disturb: a message waits for her",
        "shop is added.",
        "bob reads 'Do you have Udolpho?' from dan",
        "dan reads 'All four volumes.' from shop@rapport.localhost",
        "Handed to carol (carol@localhost).",
        "carol reads 'Please keep them for me.'",
        "carol@localhost was chosen by transfer",
        "Your message is kept",
        "carol reads 'When do you close?'",
        "carol@localhost: level 5",
        "alice reads 'Good day!' from his:",
    ):
        assert squeezed(line) in read, f"{line!r} is not in\n{page}"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Process]:
    """Running, with a directory for temporary files of its own."""
    (tmp_path / "made").mkdir()
    process = Process([str(COMMAND), "demo"], tmp_path / "demo.log", {"TMPDIR": str(tmp_path / "made"), "COLUMNS": "200"})
    await process.start()
    yield process
    await process.end(signal.SIGKILL)


async def test_it_stays_up_for_ones_own_client_until_ctrl_c_which_removes_all(demo: Process, tmp_path: Path) -> None:
    await until(lambda: lines_of(demo.log, "Ctrl-C"), 60, "the invitation")
    (invitation,) = lines_of(demo.log, "Log in with your own client")
    port = re.search(r"port (\d+)", invitation)
    assert port is not None
    assert await accepts(int(port[1]))
    demo.signal(signal.SIGINT)
    assert await demo.exited() == 0
    assert not await accepts(int(port[1]))
    assert list((tmp_path / "made").iterdir()) == []
