#!/usr/bin/env python3
"""What training has earned: each specialist beside an encoder with random weights over the same bands.

    earned.py plan RELEASE.json BASELINES.json       print the heads to fit: NAME ENCODERS
    earned.py compare RESULTS.json BASELINES.json    print the table, and write earned.md

BASELINES.json has the head over random weights that goes with each specialist.
"""

import json
import sys
from pathlib import Path

METRICS = [("miou", "mIoU"), ("macro_f1", "macro F1"), ("map", "mAP")]


def baseline_of(bands):
    """The name of the head over random weights for these bands."""
    return "random-" + ("-".join(bands) if len(bands) <= 4 else f"{len(bands)}-bands")


def plan(release, baselines):
    """The heads over single specialists, and over random weights for each set of bands."""
    bands = {card["name"]: card["model"]["bands"] for card in json.loads(release.read_text())["specialists"]}
    for specialist in bands:
        print(specialist, specialist)
    for each in {tuple(each): None for each in bands.values()}:
        print(baseline_of(each), f"random:SEED:{','.join(each)}")
    baselines.write_text(json.dumps({specialist: baseline_of(each) for specialist, each in bands.items()}))


def compare(results, baselines):
    """The table of pairs."""
    scores = {row["name"]: row for row in json.loads(results.read_text())}
    first = next(iter(scores.values()))
    key, name = next(pair for pair in METRICS if pair[0] in first["metrics"])
    lines = []
    for specialist, baseline in json.loads(baselines.read_text()).items():
        mine, other = scores[specialist]["metrics"][key], scores[baseline]["metrics"][key]
        lines.append((specialist, f"{mine:.3f}", baseline, f"{other:.3f}", f"{mine - other:+.3f}"))
    head = ("head over", name, "random weights, same bands", name, "difference")
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    for line in [head, *lines]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    behind = [line[0] for line in lines if line[4].startswith("-")]
    print()
    if behind:
        parameters = scores[behind[0]]["head_parameters"]
        print(f"  Behind random weights: {', '.join(behind)}. A head of {parameters:,} parameters can make up for")
        print("  features that were never trained, and the specialist has seen a few hundred tiles only.")
    print("  Random weights over more bands can be ahead of a specialist that sees fewer: bands are information,")
    print("  whatever the weights. This is one seed, where differences below 0.03 are noise; docs/results.md has four.")
    table = ["| " + " | ".join(line) + " |" for line in [head, ("---",) * len(head), *lines]]
    results.with_name("earned.md").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    {"plan": plan, "compare": compare}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
