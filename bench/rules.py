#!/usr/bin/env python3
"""How fast updates become one: our aggregation rules beside Flower's and beside plain numpy.

Makes files of updates of the size of ConvNeXtV2-Atto (3.39 million numbers in 141 arrays) and lets the programs
take turns. Ours opens, reads and checks the files each time and keeps none of them in memory; Flower's
functions get all of them as arrays in memory; numpy adds mapped files in 32 bits, without weights or
checks; `read` is a plain read of the mapped files on all processors. Each result is held against the others.

    PYTHON bench/rules.py --rules target/release/examples/rules

PYTHON has flwr and numpy, as `make bench-rules` installs them.
"""

import argparse
import json
import math
import os
import pathlib
import resource
import struct
import sys
import tempfile
import time

import numpy
from flwr.server.strategy import aggregate as flower

from document import Targets, circumstances, median_ratio, publish, spread, table
from train_steps import machine, measure

RULES = ["mean", "median", "trimmed_mean", "krum", "geometric_median"]
PARAMETERS = 3_390_000
OWN = "EoS-Fed"
TIMES_OF_FLOWER, LEAST_OF_A_READ, MOST_GROWN_MIB, MOST_MEANS = 10, 0.6, 64, 8


def shapes() -> dict[str, tuple[int, ...]]:
    """The arrays of a ConvNeXtV2-Atto, and one for all the rest."""
    found = {}
    for stage, (width, depth) in enumerate(zip([40, 80, 160, 320], [2, 2, 6, 2])):
        for block in range(depth):
            name = f"stages.{stage}.blocks.{block}"
            found |= {
                f"{name}.conv_dw.weight": (width, 1, 7, 7), f"{name}.conv_dw.bias": (width,),
                f"{name}.norm.weight": (width,), f"{name}.norm.bias": (width,),
                f"{name}.mlp.fc1.weight": (4 * width, width), f"{name}.mlp.fc1.bias": (4 * width,),
                f"{name}.mlp.grn.weight": (4 * width,), f"{name}.mlp.grn.bias": (4 * width,),
                f"{name}.mlp.fc2.weight": (width, 4 * width), f"{name}.mlp.fc2.bias": (width,),
            }
    for number in range(20):
        found[f"norms.{number}"] = (320,)
    return found | {"rest": (PARAMETERS - sum(math.prod(shape) for shape in found.values()),)}


def save(path: pathlib.Path, arrays: dict[str, numpy.ndarray]) -> None:
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def load(path: pathlib.Path) -> list[numpy.ndarray]:
    """The arrays of a file, mapped, in the order of their names."""
    length, = struct.unpack("<Q", path.open("rb").read(8))
    header = json.loads(path.open("rb").read(8 + length)[8:])
    def array(name: str) -> numpy.ndarray:
        return numpy.memmap(path, "<f4", "r", 8 + length + header[name]["data_offsets"][0], tuple(header[name]["shape"]))
    return [array(name) for name in sorted(header)]


def by_flower(rule: str, results: list) -> list[numpy.ndarray]:
    if rule == "mean":
        return flower.aggregate(results)
    if rule == "median":
        return flower.aggregate_median(results)
    if rule == "trimmed_mean":
        return flower.aggregate_trimmed_avg(results, 0.2)
    return flower.aggregate_krum(results, len(results) // 5, 0)


def by_numpy(files: list[pathlib.Path]) -> list[numpy.ndarray]:
    sums = [array.copy() for array in load(files[0])]
    for file in files[1:]:
        for total, array in zip(sums, load(file)):
            total += array
    return sums


def timed(work) -> tuple[dict, list[numpy.ndarray]]:
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    made = work()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_ms": wall * 1e3, "processor_ms": used * 1e3}, made


def ours(program: pathlib.Path, rule: str, files: list[pathlib.Path]) -> dict:
    # The first time of a process makes its threads.
    found = measure([program, rule, 2, *files])
    return found | {"wall_ms": found["wall_ms"][-1], "processor_ms": found["processor_ms"][-1]}


def compare(rule: str, count: int, asked: argparse.Namespace, files: list[pathlib.Path]) -> dict[str, list]:
    times: dict[str, list] = {OWN: []}
    for _ in range(asked.rounds):
        found = ours(asked.rules, rule, files)
        times[OWN].append(found)
        if rule == "mean":
            times.setdefault("read", []).append(ours(asked.rules, "read", files))
            times.setdefault("numpy f32", []).append(timed(lambda: by_numpy(files))[0])
        if rule == "geometric_median" or count > asked.most_flower:
            continue
        results = [([numpy.array(array) for array in load(file)], 10 + index) for index, file in enumerate(files)]
        taken, made = timed(lambda: by_flower(rule, results))
        times.setdefault("Flower", []).append(taken)
        mean = float(numpy.mean(made[0], dtype=numpy.float64))
        if not math.isclose(mean, found["mean"], rel_tol=1e-4, abs_tol=1e-9):
            sys.exit(f"error: {rule} of {count}: our first array has the mean {found['mean']}, Flower's {mean}")
    return times


def row(count: int, rule: str, program: str, found: list[dict]) -> list[str]:
    grown = spread([one["grown"] / 2**20 for one in found], 0) if program == OWN else ""
    times = [spread([one[what] for one in found], 0) for what in ("wall_ms", "processor_ms")]
    print(f"{count} {rule} {program}: {times[0]} ms, processor {times[1]} ms", file=sys.stderr, flush=True)
    return [f"{rule.replace('_', ' ')}, {program}", str(count), *times, grown]


def judge(count: int, rules: dict[str, dict[str, list]], targets: Targets) -> None:
    """Compares times on the clock, for which an operator waits. Ours uses all processors, Flower's functions and numpy one."""
    clock = {rule: {program: [one["wall_ms"] for one in found] for program, found in times.items()}
             for rule, times in rules.items()}
    mean = clock["mean"]
    targets.at_least(f"mean of {count}: numpy in 32 bits to ours", median_ratio(mean["numpy f32"], mean[OWN]), 1)
    targets.at_least(f"mean of {count}: a plain read of the same mapped files to ours", median_ratio(mean["read"], mean[OWN]),
                     LEAST_OF_A_READ)
    grown = max(one["grown"] / 2**20 for one in rules["mean"][OWN])
    targets.at_most(f"mean of {count}: MiB by which memory grows", grown, MOST_GROWN_MIB, 0)
    for rule, times in clock.items():
        name = rule.replace("_", " ")
        if "Flower" in times:
            targets.at_least(f"{name} of {count}: Flower's to ours", median_ratio(times["Flower"], times[OWN]), TIMES_OF_FLOWER, 1)
        if rule != "mean":
            targets.at_most(f"{name} of {count}: ours to our mean", median_ratio(times[OWN], mean[OWN]), MOST_MEANS, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=pathlib.Path, required=True, help="the example `rules` of the aggregation")
    parser.add_argument("--counts", default="10,50", help="numbers of updates")
    parser.add_argument("--most-flower", type=int, default=50, help="updates up to which Flower takes part (memory)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-rules`")
    asked = parser.parse_args()
    counts = [int(count) for count in asked.counts.split(",")]
    load, report, targets, lines = os.getloadavg()[0], {"machine": machine(), "cases": []}, Targets(), []
    with tempfile.TemporaryDirectory() as folder:
        generator = numpy.random.default_rng(0)
        files = [pathlib.Path(folder) / f"{number:03}" for number in range(max(counts))]
        for file in files:
            save(file, {name: generator.standard_normal(shape, dtype="float32") * 0.02 for name, shape in shapes().items()})
        for count in counts:
            rules = {rule: compare(rule, count, asked, files[:count]) for rule in RULES}
            report["cases"] += [{"updates": count, "rule": rule, "times": times} for rule, times in rules.items()]
            for rule, times in rules.items():
                lines += [row(count, rule, program, found) for program, found in times.items()]
            judge(count, rules, targets)
    text = (f"{circumstances(load)} {PARAMETERS:,} numbers in {len(shapes())} arrays, median of {asked.rounds} rounds in turn, with "
            "the least and the most.\n\n"
            + table(["", "updates", "clock, ms", "processor, ms", "memory grows by, MiB"], lines))
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1))
    publish(asked.document, "bench-rules", text, targets)


if __name__ == "__main__":
    main()
