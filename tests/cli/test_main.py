import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RAPPORT = Path(sys.executable).with_name("rapport")
CONFIG = """
[component]
jid = "rapport.example.org"
secret = "correct horse"
served_hosts = ["example.org"]
"""


def rapport(*words: str, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    env = {**clean, **environment}
    return subprocess.run([RAPPORT, *words], cwd=at, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "rapport.toml"
    file.touch(0o600)
    file.write_text(CONFIG)
    return file


def test_it_says_its_version(tmp_path: Path) -> None:
    done = rapport("--version", at=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"rapport \d+\.\d+\.\d+\n", done.stdout)


def test_help_names_every_command(tmp_path: Path) -> None:
    done = rapport("--help", at=tmp_path)
    assert done.returncode == 0
    for command in ("run", "check", "init", "demo", "admin", "explain", "import-archive"):
        assert re.search(rf"^\s+{command}\s", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("words", [("run",), ("check",), ("admin", "presence"), ("explain", "a", "b@x"), ("import-archive", "a")])
def test_a_wrong_config_is_one_line_and_exit_2_for_every_command(config: Path, words: tuple[str, ...]) -> None:
    config.write_text(CONFIG.replace("served_hosts", "serve_hosts"))
    done = rapport(*words, at=config.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rapport.toml: component.serve_hosts: unknown key\n"


def test_a_wrong_variable_is_named(config: Path) -> None:
    done = rapport("run", "--config", str(config), at=config.parent, RAPPORT_COMPONENT__PORT="many")
    assert (done.returncode, done.stderr) == (2, "RAPPORT_COMPONENT__PORT: component.port: input should be a valid integer\n")


def test_a_config_that_is_not_there_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = rapport("run", "--config", "none.toml", at=tmp_path)
    assert (done.returncode, done.stderr) == (2, "none.toml: there is no such file\n")


def test_an_unknown_log_level_is_one_line_and_exit_2(config: Path) -> None:
    done = rapport("run", at=config.parent, RAPPORT_LOG="loud")
    assert (done.returncode, done.stderr) == (2, "RAPPORT_LOG: 'loud' is none of debug, info, warning\n")


@pytest.mark.parametrize("words", [("admin", "presence"), ("explain", "alice", "bob@x.org")])
def test_what_needs_a_running_component_says_so_on_one_line(config: Path, words: tuple[str, ...]) -> None:
    done = rapport(*words, at=config.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"no component is running here [^\n]+\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("explain", "alice@elsewhere.org", "bob@x.org"), "none of the served hosts"),
        (("explain", "alice", "bob"), "no local part"),
        (("import-archive", "alice", "a b"), "local part"),
    ],
)
def test_a_user_who_is_none_is_refused_on_one_line(config: Path, words: tuple[str, ...], reason: str) -> None:
    done = rapport(*words, at=config.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"[^\n]*{reason}[^\n]*\n", done.stderr)


def test_init_writes_a_config_once_and_prints_the_snippet(tmp_path: Path) -> None:
    first = rapport("init", "--server", "prosody", "--host", "Example.org", at=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    written = (tmp_path / "rapport.toml").read_text()
    secret = re.search(r'^secret = "(.+)"$', written, re.MULTILINE)
    assert secret is not None
    assert f'component_secret = "{secret[1]}"' in first.stdout
    assert 'Component "rapport.example.org"' in first.stdout
    again = rapport("init", "--server", "prosody", "--host", "Example.org", at=tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "rapport.toml is there already, and is left as it is\n"
    assert (tmp_path / "rapport.toml").read_text() == written


@pytest.mark.parametrize("words", [("--host", "a@b"), ("--host", "x.org", "--component", "X.org"), ("--host", "x.org", "--admin", "x.org")])
def test_init_refuses_what_no_config_could_hold(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = rapport("init", "--server", "ejabberd", *words, at=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_steers_the_terminal(config: Path) -> None:
    done = rapport("explain", "alice", "b\x9b31mob@x.org", at=config.parent)
    assert done.returncode == 1
    assert "\x9b" not in done.stderr
