#!/usr/bin/env python3
"""The row "training step" of `make bench`: the trainer beside timm in eager mode and torch.compile.

The programs take turns (A B C A B C ...), so that what else the machine does hits all alike. Compared is
processor time of a step, the median of the rounds: on a shared machine it varies less than wall time.

    python3 bench/train_steps.py --steps target/release/examples/steps --python PYTHON

PYTHON has torch and timm, as that of `make interop`. Fails when a ratio falls short; --json FILE keeps all numbers.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

from document import Targets, circumstances, median_ratio, publish, spread, table

HERE = pathlib.Path(__file__).resolve().parent
OWN = "trainer"
# How many times as much processor time they take at least, and for which cases that was asked.
TIMES, ASKED = {"timm eager": 1.4, "torch.compile": 1.1}, ["64x64", "224x16"]


def machine() -> dict:
    """What the machine is, and what else it does."""
    names = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count(), "load": os.getloadavg()}


def measure(words: list[str]) -> dict:
    """The last line of JSON that a program prints."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, words))} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def programs(asked: argparse.Namespace, size: int, batch: int) -> dict[str, list]:
    """The command line of each program, in the order in which they take turns."""
    case = ["--backbone", asked.backbone, "--size", size, "--batch", batch, "--bands", asked.bands,
            "--threads", asked.threads, "--seconds", asked.seconds]
    timm = [asked.python, HERE / "gpu" / "steps_timm.py", "--device", "cpu", *case]
    found = {OWN: [asked.steps, "--cpu", *case]}
    if asked.before:
        found["before"] = [asked.before, "--cpu", *case]
    if asked.python:
        found |= {"timm eager": timm, "torch.compile": [*timm, "--compile"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=pathlib.Path, required=True, help="the trainer's example `steps`")
    parser.add_argument("--before", type=pathlib.Path, help="an earlier `steps`, to compare with")
    parser.add_argument("--python", type=pathlib.Path, help="a Python with torch and timm")
    parser.add_argument("--cases", default="64x16,64x64,224x8,224x16", help="sides and batches, such as 64x16,224x8")
    parser.add_argument("--backbone", default="convnextv2_atto")
    parser.add_argument("--bands", type=int, default=13)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="shortest time of each measurement")
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-steps`")
    asked = parser.parse_args()
    load, report, targets, rows = os.getloadavg()[0], {"machine": machine(), "cases": []}, Targets(), []
    for case in asked.cases.split(","):
        size, batch = (int(part) for part in case.split("x"))
        times: dict[str, list[float]] = {}
        for _ in range(asked.rounds):
            for name, words in programs(asked, size, batch).items():
                times.setdefault(name, []).append(measure(words)["processor_ms"])
        ratios = {name: median_ratio(values, times[OWN]) for name, values in times.items() if name != OWN}
        shown = [f"{spread(values, 0)}, {ratios[name]:.2f} times" for name, values in times.items() if name != OWN]
        rows.append([f"{size}x{size}, {batch}", spread(times[OWN], 0), *shown])
        print(f"{case}: {', '.join(rows[-1][1:])}", file=sys.stderr, flush=True)
        for name, ratio in ratios.items():
            if case in ASKED and name in TIMES:
                targets.at_least(f"{size} pixels, batch {batch}: {name} to ours", ratio, TIMES[name], 3)
        report["cases"].append({"size": size, "batch": batch, "processor_ms": times})
    text = (f"{circumstances(load)} {asked.backbone}, {asked.bands} bands, f32, {asked.threads} thread(s): processor time of a "
            f"step in ms, median of {asked.rounds} rounds in turn, with the least and the most.\n\n"
            + table(["pixels, batch", *programs(asked, 1, 1)], rows))
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")
    publish(asked.document, "bench-steps", text, targets)


if __name__ == "__main__":
    main()
