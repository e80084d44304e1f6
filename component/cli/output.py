"""What the command line prints: notes, tables, problems. Names and texts of strangers are in them, so nothing of it is markup."""

import re
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

# C1 controls are fine in XML, but steer a terminal.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = 10_000
"""Columns where there is no terminal: a line that a program reads is not wrapped."""


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def plain(text: str) -> Text:
    """A text as it is: no markup, no control characters."""
    return Text(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text))


def note(text: str) -> None:
    console().print(plain(text))


def table(rows: Iterable[Sequence[str]], columns: Sequence[str] = ()) -> None:
    """Rows in columns; with a header if the columns have names."""
    grid = Table(*columns, show_header=bool(columns), box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*map(plain, row))
    if grid.rows:
        console().print(grid)


def problem(text: str) -> None:
    """One line to stderr."""
    print(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split())), file=sys.stderr)
