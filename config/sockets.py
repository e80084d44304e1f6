"""Where a running component listens for the command line: a Unix socket."""

import os
from pathlib import Path

RUNTIME = Path("/run/rapport")
_LONGEST = 107
"""Bytes that sun_path holds (unix(7)), less the final zero."""


def default(config: Path, component: str) -> Path:
    """`/run/rapport/JID.sock` where that directory can be written, as under systemd; else `JID.sock` beside the config file."""
    folder = RUNTIME if RUNTIME.is_dir() and os.access(RUNTIME, os.W_OK) else config.absolute().parent
    return folder / f"{component}.sock"


def address(path: Path) -> str:
    """A name for this socket that bind and connect take, however long the path. Raises OSError if its directory is missing.

    A long one goes through a descriptor of the directory, which stays open as long as the process.
    """
    if len(os.fsencode(path)) <= _LONGEST:
        return str(path)
    return f"/proc/self/fd/{os.open(path.parent, os.O_PATH | os.O_DIRECTORY)}/{path.name}"
