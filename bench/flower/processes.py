"""A process and all that it has started, as the kernel counts them."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float] | None:
    """The parent of a process, and its processor time with that of the children that it has waited for."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def tree(root: int) -> dict[int, float]:
    """The processor seconds of a process and of all below it."""
    found = {int(entry.name): _stat(int(entry.name)) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()}
    found = {pid: stat for pid, stat in found.items() if stat}
    below, more = {root}, True
    while more:
        added = {pid for pid, (parent, _) in found.items() if parent in below} - below
        below, more = below | added, bool(added)
    return {pid: found[pid][1] for pid in below if pid in found}


def processor_seconds(root: int) -> float:
    return sum(tree(root).values())


def resident_mib(root: int) -> float:
    """Resident memory of all of them together."""
    pages = 0
    for pid in tree(root):
        try:
            pages += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
