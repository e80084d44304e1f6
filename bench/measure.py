"""What the benchmarks share: CPU time of a process, medians, and how a line of the table is printed."""

import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "prosody-test"), str(Path(__file__).parents[1])]


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MiB of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def line(what: str, measured: str, goal: str, met: bool | None = None) -> None:
    """One line of spec/60-quality.md: what, what was measured, the goal, and whether it is met."""
    mark = "" if met is None else ("ok" if met else "NOT MET")
    print(f"{what:58} {measured:44} {goal:22} {mark}", flush=True)
