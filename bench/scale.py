#!/usr/bin/env python3
"""How a coordinator grows: runs `eosfed-load growth`, draws what it has found, and writes docs/scale.md.

    python3 bench/scale.py --load target/release/eosfed-load --document docs/scale.md --images docs/images

The lines of JSON can be kept (`--lines FILE`) and drawn again without a measurement (`--from FILE`). What follows
`--` goes to `eosfed-load growth`, such as `--clients 4,8,16`.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import time

from document import circumstances, replace, table
from svg import chart

MIB = 1024


def measure(program: pathlib.Path, words: list[str], lines: pathlib.Path | None) -> list[dict]:
    """The lines of the measurement, each shown and kept as it comes. What was measured before a failure is kept too."""
    found = []
    with subprocess.Popen([program, "growth", *words], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            found.append(json.loads(line))
            if lines:
                lines.write_text("".join(json.dumps(one) + "\n" for one in found))
    if process.returncode != 0:
        print(f"warning: {program} ended with {process.returncode}; what was not measured is left out", file=sys.stderr)
    return found


def exponent(points: list[tuple[float, float]]) -> float | None:
    """The slope of a line through the logarithms: 1 where y grows in proportion to x, 0 where it does not grow."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    mean_x, mean_y = (sum(pair[axis] for pair in logs) / len(logs) for axis in (0, 1))
    over = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return over / sum((x - mean_x) ** 2 for x, _ in logs)


class Part:
    """One part of the measurement: what is on its axis, and what is looked at."""

    def __init__(self, name: str, title: str, x: str, x_name: str, looked_at: list[tuple]):
        self.name, self.title, self.x, self.x_name = name, title, x, x_name
        # A name for people, how it follows from a line, and how it is printed.
        self.looked_at = looked_at

    def points(self, lines: list[dict], value) -> list[tuple[float, float]]:
        return [(line[self.x], value(line)) for line in lines]

    def table(self, lines: list[dict]) -> str:
        rows = [[f"{line[self.x]:,}", *(shown.format(value(line)) for _, value, shown in self.looked_at)] for line in lines]
        return table([self.x_name, *(name for name, _, _ in self.looked_at)], rows, first="---:")

    def growth(self, lines: list[dict]) -> str:
        slopes = [(name, exponent(self.points(lines, value))) for name, value, _ in self.looked_at]
        said = "; ".join(f"{name} {slope:.2f}" for name, slope in slopes if slope is not None)
        return f"Powers of the {self.x_name} by which they grow: {said}." if said else "One point says nothing of growth."

    def picture(self, lines: list[dict]) -> str:
        panels = [(name, self.points(lines, value)) for name, value, _ in self.looked_at]
        panels = [(name, points) for name, points in panels if all(y > 0 for _, y in points)]
        return chart(f"{self.title}: " + ", ".join(name for name, _ in panels), self.x_name, panels)


A_ROUND = [
    ("seconds", lambda line: line["seconds"], "{:.2f}"),
    ("processor, s", lambda line: line["processor_seconds"], "{:.2f}"),
    ("peak memory, MiB", lambda line: line["peak_kib"] / MIB, "{:.0f}"),
    ("MB up", lambda line: line["bytes_up"] / 1e6, "{:.1f}"),
    ("MB down", lambda line: line["bytes_down"] / 1e6, "{:.1f}"),
    ("open files", lambda line: line["files"], "{:,}"),
]
PARTS = [
    Part("clients", "A round of ConvNeXtV2-atto by its institutions", "clients", "institutions", A_ROUND),
    Part("models", "A round of four institutions by the size of the model", "parameters", "parameters", A_ROUND),
    Part("idle", "Institutions that wait for work", "clients", "institutions", [
        ("processor, % of one", lambda line: 100 * line["processor_share"], "{:.1f}"),
        ("memory, MiB", lambda line: line["resident_kib"] / MIB, "{:.0f}"),
        ("open files", lambda line: line["files"], "{:,}"),
    ]),
    Part("rounds", "A job of small heads with four institutions by its closed rounds", "closed_rounds", "closed rounds", [
        ("heartbeat, ms", lambda line: 1e3 * line["heartbeat_seconds"], "{:.1f}"),
        ("submission, ms", lambda line: 1e3 * line["submission_seconds"], "{:.1f}"),
        ("processor a round, s", lambda line: line["processor_seconds_a_round"], "{:.3f}"),
        ("memory, MiB", lambda line: line["resident_kib"] / MIB, "{:.0f}"),
        ("store, MB", lambda line: line["store_bytes"] / 1e6, "{:.1f}"),
        ("start, ms", lambda line: 1e3 * line["start_seconds"], "{:.0f}"),
        ("open files", lambda line: line["files"], "{:,}"),
    ]),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", type=pathlib.Path, required=True, help="the program eosfed-load")
    parser.add_argument("--document", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True, help="the folder of the pictures")
    parser.add_argument("--lines", type=pathlib.Path, help="a file for the lines of JSON")
    parser.add_argument("--from", dest="earlier", type=pathlib.Path, help="such a file, instead of a measurement")
    parser.add_argument("words", nargs="*", help="for eosfed-load growth")
    asked = parser.parse_args()
    load, start = os.getloadavg()[0], time.monotonic()
    if asked.earlier:
        lines = [json.loads(line) for line in asked.earlier.read_text().splitlines()]
    else:
        lines = measure(asked.load, asked.words, asked.lines)
    if not lines:
        sys.exit("error: nothing was measured")
    text = [f"{circumstances(load)} The institutions were a process on the same machine."
            + ("" if asked.earlier else f" All of it took {(time.monotonic() - start) / 60:.0f} minutes.")]
    for part in PARTS:
        own = [line for line in lines if line["part"] == part.name]
        if not own:
            text.append(f"### {part.title}\n\nNot measured in this run.")
            continue
        picture = asked.images / f"scale-{part.name}.svg"
        picture.write_text(part.picture(own))
        text.append(f"### {part.title}\n\n![{part.title}](images/{picture.name})\n\n{part.table(own)}\n\n{part.growth(own)}")
    replace(asked.document, "bench-scale", "\n\n".join(text))


if __name__ == "__main__":
    main()
