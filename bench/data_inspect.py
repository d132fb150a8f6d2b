#!/usr/bin/env python3
"""`make bench-inspect`: time and memory of `eosfed-client data inspect` by the number of files.

Made imagery: patches of 64 x 64 pixels with 13 bands of 16 bits, as EuroSAT has them, each other than the rest,
in one folder for each of two classes. Every file is read. Time of the processor and peak resident memory are those
that the kernel counts for the process; each is the median of the runs.

    bench/data_inspect.py --client target/release/eosfed-client --files 1000,10000,50000
"""

import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from document import circumstances, replace, table
from stream import CLASSES, describe, tiff

SIDE = 64
# Where the pixels of a file begin that `tiff` has written.
PIXELS_AT = 8


def make(folder: pathlib.Path, count: int) -> None:
    tiff(folder / "pattern.tif", SIDE, 1, deflate=False)
    pattern = bytearray((folder / "pattern.tif").read_bytes())
    (folder / "pattern.tif").unlink()
    for name in CLASSES:
        (folder / "patches" / name).mkdir(parents=True)
    for number in range(count):
        struct.pack_into("<2H", pattern, PIXELS_AT, number % 4000, number // 4000)
        (folder / "patches" / CLASSES[number % len(CLASSES)] / f"{number:06}.tif").write_bytes(pattern)
    describe(folder, "classification", 'kind = "folders"\nroot = "patches"')


def run(client: str, folder: pathlib.Path, count: int) -> dict:
    begun = time.monotonic()
    child = subprocess.Popen([client, "data", "inspect", str(folder), "--output", "json"], stdout=subprocess.PIPE)
    summary = json.load(child.stdout)
    _, status, used = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"`data inspect` ended with {os.waitstatus_to_exitcode(status)}")
    read = sum(summary["samples"].values())
    if read != count:
        sys.exit(f"{count} files were made, `data inspect` counts {read} samples")
    return {"seconds": time.monotonic() - begun, "processor_seconds": used.ru_utime + used.ru_stime,
            "memory_mib": used.ru_maxrss / 1024}  # fmt: skip


def measure(options: argparse.Namespace, count: int) -> dict:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = pathlib.Path(name)
        make(folder, count)
        runs = [run(options.client, folder, count) for _ in range(options.rounds)]
    row = {"files": count} | {what: statistics.median(one[what] for one in runs) for what in runs[0]}
    print(json.dumps(row), flush=True)
    return row


def found(rows: list[dict]) -> str:
    cells = [[f"{row['files']:,}", f"{row['seconds']:.1f} s", f"{row['processor_seconds']:.1f} s",
              f"{row['processor_seconds'] / row['files'] * 1000:.2f} ms", f"{row['memory_mib']:.0f} MiB"]
             for row in rows]  # fmt: skip
    return table(["files", "time", "processor", "a file", "peak memory"], cells, first="---:")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", required=True, help="the program eosfed-client")
    parser.add_argument("--files", default="1000,10000,50000", help="numbers of files")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    parser.add_argument("--folder", help="where the files are made (107 KB each); default: a temporary folder")
    parser.add_argument("--document", type=pathlib.Path, help="a document to write the table into")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [measure(options, int(count)) for count in options.files.split(",")]
    if options.document:
        replace(options.document, "bench-inspect", f"{found(rows)}\n\n{circumstances(load)}")


if __name__ == "__main__":
    main()
