"""scripts/setup, where it may not install anything."""

import os
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "scripts" / "setup"


@pytest.fixture
def visitor(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who is neither root nor may use sudo, on a machine without any of the packages."""
    for name, script in {"dpkg-query": "exit 1", "id": "echo 1000", "sudo": "exit 1", "apt-get": "echo installing; exit 9"}.items():
        command = tmp_path / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("words", "packages"),
    [([], {"python3-venv", "prosody", "ejabberd", "gajim"}), (["demo"], {"python3-venv", "prosody"}), (["run"], {"python3-venv"})],
)
def test_without_root_the_missing_packages_are_named(words: list[str], packages: set[str], visitor: dict[str, str]) -> None:
    done = subprocess.run([SETUP, *words], env=visitor, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    named = set(done.stderr.partition("missing: ")[2].partition(" (")[0].split())
    assert packages <= named if not words else packages == named


def test_another_word_is_refused(visitor: dict[str, str]) -> None:
    done = subprocess.run([SETUP, "everything"], env=visitor, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: scripts/setup [run|demo]\n")
