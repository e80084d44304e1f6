import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.running import RAPPORT, rapport

CONFIG = """
[component]
jid = "rapport.example.org"
secret = "correct horse"
served_hosts = ["example.org"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "rapport.toml"
    file.touch(0o600)
    file.write_text(CONFIG)
    return file


async def test_it_says_its_version(tmp_path: Path) -> None:
    done = await rapport("--version", at=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert re.fullmatch(r"rapport \d+\.\d+\.\d+\n", done.out)


async def test_help_names_every_command(tmp_path: Path) -> None:
    done = await rapport("--help", at=tmp_path)
    assert done.status == 0
    for command in ("run", "check", "init", "demo", "admin", "explain", "import-archive"):
        assert re.search(rf"^\s+{command}\s", done.out, re.MULTILINE)


@pytest.mark.parametrize("words", [("run",), ("check",), ("admin", "presence"), ("explain", "a", "b@x"), ("import-archive", "a")])
async def test_a_wrong_config_is_one_line_and_exit_2_for_every_command(config: Path, words: tuple[str, ...]) -> None:
    config.write_text(CONFIG.replace("served_hosts", "serve_hosts"))
    done = await rapport(*words, at=config.parent)
    assert (done.status, done.out) == (2, "")
    assert done.err == "rapport.toml: component.serve_hosts: unknown key\n"


async def test_a_wrong_variable_is_named(config: Path) -> None:
    done = await rapport("run", "--config", str(config), at=config.parent, RAPPORT_COMPONENT__PORT="many")
    assert (done.status, done.err) == (2, "RAPPORT_COMPONENT__PORT: component.port: input should be a valid integer\n")


async def test_a_config_that_is_not_there_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = await rapport("run", "--config", "none.toml", at=tmp_path)
    assert (done.status, done.err) == (2, "none.toml: there is no such file\n")


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_an_end_that_comes_before_the_start_is_done_is_an_end_too(tmp_path: Path, which: signal.Signals) -> None:
    config = tmp_path / "rapport.toml"
    os.mkfifo(config)
    process = await asyncio.create_subprocess_exec(RAPPORT, "run", "--config", str(config), stderr=asyncio.subprocess.PIPE)
    writing = await asyncio.wait_for(asyncio.to_thread(os.open, config, os.O_WRONLY), 60)  # it reads its config now
    process.send_signal(which)
    try:
        assert await asyncio.wait_for(process.communicate(), 60) == (None, b"")
    finally:
        os.close(writing)
    assert process.returncode == 0


async def test_an_unknown_log_level_is_one_line_and_exit_2(config: Path) -> None:
    done = await rapport("run", at=config.parent, RAPPORT_LOG="loud")
    assert (done.status, done.err) == (2, "RAPPORT_LOG: 'loud' is none of debug, info, warning\n")


@pytest.mark.parametrize("words", [("admin", "presence"), ("explain", "alice", "bob@x.org")])
async def test_what_needs_a_running_component_says_so_on_one_line(config: Path, words: tuple[str, ...]) -> None:
    done = await rapport(*words, at=config.parent)
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(r"no component is running here [^\n]+\n", done.err)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("explain", "alice@elsewhere.org", "bob@x.org"), "none of the served hosts"),
        (("import-archive", "alice", "a b"), "local part"),
    ],
)
async def test_a_user_who_is_none_is_refused_on_one_line(config: Path, words: tuple[str, ...], reason: str) -> None:
    done = await rapport(*words, at=config.parent)
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(rf"[^\n]*{reason}[^\n]*\n", done.err)


async def test_init_writes_a_config_once_and_prints_the_snippet(tmp_path: Path) -> None:
    first = await rapport("init", "--server", "prosody", "--host", "Example.org", at=tmp_path)
    assert (first.status, first.err) == (0, "")
    written = (tmp_path / "rapport.toml").read_text()
    secret = re.search(r'^secret = "(.+)"$', written, re.MULTILINE)
    assert secret is not None
    assert f'component_secret = "{secret[1]}"' in first.out
    assert 'Component "rapport.example.org"' in first.out
    again = await rapport("init", "--server", "prosody", "--host", "Example.org", at=tmp_path)
    assert (again.status, again.out) == (1, "")
    assert again.err == "rapport.toml is there already, and is left as it is\n"
    assert (tmp_path / "rapport.toml").read_text() == written


@pytest.mark.parametrize("words", [("--host", "a@b"), ("--host", "x.org", "--component", "X.org"), ("--host", "x.org", "--admin", "x.org")])
async def test_init_refuses_what_no_config_could_hold(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = await rapport("init", "--server", "ejabberd", *words, at=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


async def test_nothing_steers_the_terminal(config: Path) -> None:
    done = await rapport("explain", "alice", "b\x9b31mob@x.org", at=config.parent)
    assert done.status == 1
    assert "\x9b" not in done.err
