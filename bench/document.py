"""What a measurement has found: its table, its targets, and its place in a document between two marks."""

import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time


def replace(document: pathlib.Path, command: str, text: str) -> None:
    """Replaces what stands between the marks of `make COMMAND`."""
    begin, end = f"<!-- made by `make {command}` -->", f"<!-- end of what `make {command}` makes -->"
    old = document.read_text()
    if begin not in old or end not in old.split(begin, 1)[1]:
        sys.exit(f"error: {document} does not have the two lines `{begin}` and `{end}`, in this order")
    head, rest = old.split(begin, 1)
    document.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest.split(end, 1)[1]}")


def circumstances(load_before: float) -> str:
    """The commit, the machine and how busy it was, as a sentence."""
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return (f"Commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors of {model}; load "
            f"of the machine {load_before:.1f} before and {os.getloadavg()[0]:.1f} at the end.")


def spread(values: list[float], digits: int) -> str:
    """The median, and the least and the most where there are several."""
    least, middle, most = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f}–{most:,.{digits}f})" if len(values) > 1 else f"{middle:,.{digits}f}"


def table(heads: list[str], rows: list[list[str]], first: str = "---") -> str:
    """A table whose first column is text, or with `first="---:"` numbers, and whose others are numbers."""
    lines = [heads, [first, *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


class Targets:
    """What was asked of a measurement, as sentences with what was found."""

    def __init__(self):
        self.said: list[tuple[str, bool]] = []

    def at_least(self, what: str, found: float, asked: float, digits: int = 2) -> None:
        self.said.append((f"{what}: {found:,.{digits}f}, at least {asked:g} asked", found >= asked))

    def at_most(self, what: str, found: float, asked: float, digits: int = 2) -> None:
        self.said.append((f"{what}: {found:,.{digits}f}, at most {asked:g} asked", found <= asked))

    def __str__(self) -> str:
        return "\n".join(f"- {'met' if met else '**not met**'}: {sentence}" for sentence, met in self.said)


def publish(document: pathlib.Path | None, command: str, text: str, targets: Targets) -> None:
    """Prints what was found, puts it into the document if there is one, and fails where a target is missed."""
    text = f"{text}\n\n{targets}"
    print(text)
    if document:
        replace(document, command, text)
    missed = sum(not met for _, met in targets.said)
    if missed:
        sys.exit(f"error: {missed} of {len(targets.said)} targets of `make {command}` are missed")


def median_ratio(others: list[float], own: list[float]) -> float:
    """How many times as much the others take."""
    return statistics.median(others) / statistics.median(own)
