#!/usr/bin/env python3
"""How good a specialist is after the same rounds with each encoding of the updates.

    python3 bench/encodings.py --programs target/release --images FOLDER

FOLDER holds RGB images in one folder for each class, such as EuroSAT's. They are divided among three institutions,
unevenly: each class has one that holds most of it. Half of each class is held out, as the institutions' test parts.
A coordinator and three daemons train ConvNeXtV2-atto together from nothing, once for each seed and encoding, with
all else equal; then an evaluation job scores every specialist on all test parts. What is drawn (starting weights,
order of the samples) follows from the seed, so the runs of a seed are compared in pairs.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

from document import Targets, circumstances, publish, table
from federation import Federation

INSTITUTIONS = ["centre", "east", "west"]
BANDS = ["red", "green", "blue"]
# A label, the name of the encoding, and the share of the values that it keeps.
CASES = [("f32", "f32", None), ("bf16", "bf16", None), ("int8", "int8", None), ("top-k, 0.1", "top-k", 0.1),
         ("top-k, 0.01", "top-k", 0.01), ("top-k-bf16, 0.25", "top-k-bf16", 0.25)]
# Points of accuracy that an encoding may lose.
ALLOWED = 0.5


def divide(images: pathlib.Path, most: int) -> tuple[list[str], dict[str, list[list]]]:
    """The classes, and each institution's rows of a table: image, class, part."""
    classes = sorted(entry.name for entry in images.iterdir() if entry.is_dir())
    rows: dict[str, list[list]] = {name: [] for name in INSTITUTIONS}
    for index, label in enumerate(classes):
        turns = [INSTITUTIONS[index % 3]] * 2 + INSTITUTIONS
        for at, file in enumerate(sorted((images / label).iterdir())[:most]):
            # Each institution has a test image for each that it learns from; every tenth of those validates.
            turn, half = divmod(at, 2)
            part = "test" if half else ("validation" if turn // len(turns) % 10 == 9 else "train")
            rows[turns[turn % len(turns)]].append([file.relative_to(images), label, part])
    return classes, rows


def write_dataset(folder: pathlib.Path, images: pathlib.Path, classes: list[str], rows: list[list]) -> pathlib.Path:
    folder.mkdir(parents=True)
    with (folder / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "class", "part"])
        table.writerows(rows)
    (folder / "dataset.toml").write_text(
        f'task = "classification"\nbands = {json.dumps(BANDS)}\nclasses = {json.dumps(classes)}\n'
        f'[layout]\nkind = "table"\nfile = "table.csv"\nroot = {json.dumps(str(images))}\nimages = "image"\n'
        'target = "class"\nsplit = "part"\n')
    return folder


def specialist(label: str, seed: int) -> str:
    return label.replace(", 0.", "-0").replace("top-k", "topk") + f"-seed-{seed}"


def plan(asked: argparse.Namespace, classes: list[str], case: tuple, seed: int) -> str:
    label, encoding, share = case
    return f"""\
version = 2
name = "{label}, seed {seed}"
kind = "rounds"
seed = {seed}
[model]
backbone = "convnextv2_atto"
task = "classification"
classes = {json.dumps(classes)}
[[specialist]]
name = "{specialist(label, seed)}"
bands = {json.dumps(BANDS)}
[participation]
min = {len(INSTITUTIONS)}
max = {len(INSTITUTIONS)}
deadline = "1h"
[rounds]
count = {asked.rounds}
strategy = {{ name = "fed-avg" }}
encodings = ["{encoding}"]
{f"top_k_share = {share}" if share else ""}
[normalisation]
from = "federated"
[training]
epochs = {asked.epochs}
batch_size = {asked.batch}
learning_rate = {asked.rate}
augment = ["flip", "rotate90"]
"""


EVALUATION = f"""\
version = 2
name = "scores of all"
kind = "evaluation"
[evaluation]
[participation]
min = {len(INSTITUTIONS)}
max = {len(INSTITUTIONS)}
deadline = "1h"
"""


def train(federation: Federation, asked: argparse.Namespace, classes: list[str], case: tuple, seed: int) -> float:
    """Trains one specialist; gives the bytes of weights that left the institutions for each update."""
    def upward() -> int:
        return sum(federation.sent(name)["weights"] for name in INSTITUTIONS)
    before, start = upward(), time.monotonic()
    job = federation.finish(plan(asked, classes, case, seed))
    updates = [entry for closed in job["history"] for entry in closed["participants"].values() if entry["weights"]]
    found = {entry.get("encoding") or "f32" for entry in updates}
    expected = asked.rounds * len(INSTITUTIONS)
    if found != {case[1]} or len(updates) != expected:
        raise RuntimeError(f"{len(updates)} updates came, in {found}, and not {expected} in {case[1]}")
    print(f"seed {seed}, {case[0]}: {time.monotonic() - start:.0f} s", flush=True)
    return (upward() - before) / len(updates)


def scores(federation: Federation, names: list[str]) -> dict[str, float]:
    """The share of right answers over all test images, by specialist."""
    federation.finish(EVALUATION.replace("[evaluation]", f"[evaluation]\nspecialists = {json.dumps(names)}"))
    found = {}
    for name in names:
        parts = federation.ask("specialist", "show", name)["evaluations"]
        if len(parts) != len(INSTITUTIONS):
            raise RuntimeError(f"{len(parts)} institutions have scored {name}, not {len(INSTITUTIONS)}")
        samples = sum(part["samples"] for part in parts)
        found[name] = sum(part["metrics"]["accuracy"] * part["samples"] for part in parts) / samples
    return found


def compare(cases: list[tuple], seeds: int, accuracy: dict[str, float], sent: dict[str, float]) -> tuple[str, dict]:
    """The table, and the mean differences to f32 in points."""
    heads = ["encoding", "accuracy, median", "from, to", "to f32 by seed, points", "mean, standard error",
             "bytes of an update", "of f32"]
    def of(label: str, found: dict[str, float]) -> list[float]:
        return [found[specialist(label, seed)] for seed in range(1, seeds + 1)]
    means, rows = {}, []
    plain, plain_bytes = of("f32", accuracy), statistics.mean(of("f32", sent))
    for label, *_ in cases:
        own, weight = of(label, accuracy), statistics.mean(of(label, sent))
        row = [label, f"{statistics.median(own):.3f}", f"{min(own):.3f}, {max(own):.3f}", "", ""]
        if label != "f32":
            points = [100 * (one - other) for one, other in zip(own, plain)]
            means[label] = statistics.mean(points)
            error = f"{statistics.stdev(points) / math.sqrt(seeds):.1f}" if seeds > 1 else "unknown"
            row[3:] = [", ".join(f"{one:+.1f}" for one in points), f"{means[label]:+.1f}, {error}"]
        rows.append([*row, f"{weight:,.0f}", f"{weight / plain_bytes:.3f}"])
    return table(heads, rows), means


def judge(means: dict[str, float]) -> Targets:
    """Whether each encoding loses no more than it may, on the mean of the seeds."""
    targets = Targets()
    for label, mean in means.items():
        targets.at_least(f"{label}: points of accuracy to f32 on the mean of the seeds", mean, -ALLOWED)
    return targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder of the four programs")
    parser.add_argument("--images", type=pathlib.Path, required=True, help="a folder of images for each class")
    parser.add_argument("--cases", help="which encodings besides f32, separated by semicolons; default: all")
    parser.add_argument("--per-class", type=int, default=1000, help="most images of a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=1, help="in each round")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--document", type=pathlib.Path, help="where the table goes, between its marks")
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    asked = parser.parse_args()
    wanted = {"f32", *asked.cases.split(";")} if asked.cases else {label for label, *_ in CASES}
    cases = [case for case in CASES if case[0] in wanted]
    if len(cases) != len(wanted):
        sys.exit(f"error: --cases {asked.cases}: the encodings are {'; '.join(label for label, *_ in CASES)}")
    images, programs = asked.images.resolve(), asked.programs.resolve()
    # So that what was started is ended then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    load = os.getloadavg()[0]
    classes, rows = divide(images, asked.per_class)
    count = {part: sum(row[2] == part for own in rows.values() for row in own) for part in ("train", "validation", "test")}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Federation(programs, pathlib.Path(name)) as federation:
        for institution in INSTITUTIONS:
            data = write_dataset(pathlib.Path(name) / "data" / institution, images, classes, rows[institution])
            federation.join(institution, data)
        sent: dict[str, float] = {}
        accuracy: dict[str, float] = {}
        for seed in range(1, asked.seeds + 1):
            for case in cases:
                sent[specialist(case[0], seed)] = train(federation, asked, classes, case, seed)
            accuracy |= scores(federation, [specialist(label, seed) for label, *_ in cases])
            made, means = compare(cases, seed, accuracy, sent)
            print(f"{made}\n", flush=True)
    text = (f"{len(classes)} classes, {count['train']} images to learn from at {len(INSTITUTIONS)} institutions, "
            f"{count['validation']} for validation, {count['test']} for the test; {asked.rounds} rounds of {asked.epochs} "
            f"epochs, batches of {asked.batch}, learning rate {asked.rate}, {asked.seeds} seeds; "
            f"{(time.monotonic() - start) / 60:.0f} minutes. {circumstances(load)}\n\n{made}")
    if asked.json:
        asked.json.write_text(json.dumps({"accuracy": accuracy, "bytes": sent, "means": means}, indent=1) + "\n")
    publish(asked.document, "bench-encodings", text, judge(means))


if __name__ == "__main__":
    main()
