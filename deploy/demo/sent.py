#!/usr/bin/env python3
"""Says what each institution has sent, by kind, beside the imagery that stayed: sent.py BYTES FILES..."""

import json
import sys
from pathlib import Path


def mega(count):
    return f"{count / 1e6:,.3f} MB"


def main():
    imagery, files = int(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    rows = [json.loads(file.read_text()) for file in files]
    head = ("institution", "weights", "metrics", "control", "imagery")
    lines = [
        (row["institution"], *(mega(row["sent_bytes"][kind]) for kind in head[1:4]), "none")
        for row in sorted(rows, key=lambda row: row["institution"])
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    for line in [head, *lines]:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths)))
    print(f"\n  The imagery ({mega(imagery)}) has stayed where it was: the protocol has one field that can carry")
    print("  bulk bytes upward, and the coordinator takes there nothing but the tensors of the expected model.")
    table = ["| " + " | ".join(line) + " |" for line in [head, ("---",) * len(head), *lines]]
    files[0].with_name("sent.md").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
