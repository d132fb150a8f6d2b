#!/usr/bin/env python3
"""What real daemons need: requests and bytes of a round, and memory and processor time while they wait.

    bench/daemons.py --programs target/release

A coordinator and four daemons, over TLS on loopback, train ConvNeXtV2-atto on a few made patches, once with each of
three encodings. Requests are those that the coordinator counts; bytes are those that leave the institutions: weights,
metrics and control messages. Then nothing is to be done, and all wait. Memory is resident memory, and the part of it
that the process has allocated; the rest is the program's file, which the kernel may drop and read again.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

import stream
from document import Targets, circumstances, publish, spread, table
from federation import Federation
from flower.processes import processor_seconds

INSTITUTIONS = ["centre", "east", "north", "west"]
SIDE, PATCHES = 64, 16
# The encoding, the share that it keeps, and the most bytes as a share of the model's in 32 bits.
ENCODINGS = [("f32", None, 1.01), ("int8", None, 0.27), ("top-k", 0.01, 0.05)]
MOST_REQUESTS = 5
# Of the programs while they wait: MiB, and percent of a processor.
MOST_MIB, MOST_PERCENT = {"coordinator": 15, "client": 10}, 0.1
# Bytes of ConvNeXtV2-atto with 13 bands and two classes, in 32 bits.
MODEL_BYTES = 4 * 3_394_442
# What institutions call.
SERVICES = ["Participant", "Blobs"]


def plan(encoding: str, share: float | None, rounds: int) -> str:
    bands = "\n".join(f'[[normalisation.bands]]\nband = "{band}"\nmean = 0.2\nstd = 0.1' for band in stream.BANDS)
    everyone = len(INSTITUTIONS)
    return f"""\
version = 2
name = "{encoding}"
kind = "rounds"
[model]
backbone = "convnextv2_atto"
task = "classification"
classes = {stream.CLASSES}
[[specialist]]
name = "by-{encoding}"
bands = {stream.BANDS}
[participation]
min = {everyone}
max = {everyone}
deadline = "1h"
[rounds]
count = {rounds}
strategy = {{ name = "fed-avg" }}
encodings = ["{encoding}"]
{f"top_k_share = {share}" if share else ""}
[training]
epochs = 1
batch_size = 8
learning_rate = 0.001
[normalisation]
from = "given"
{bands}
"""


def a_job(federation: Federation, encoding: str, share: float | None, rounds: int) -> dict[str, float]:
    """Requests, bytes and time of an institution and round."""
    def sent() -> int:
        return sum(sum(federation.sent(name).values()) for name in INSTITUTIONS)

    def requests() -> float:
        return federation.metric("eosfed_calls_total", *SERVICES)
    asked, before, begun = requests(), sent(), time.monotonic()
    job = federation.finish(plan(encoding, share, rounds))
    seconds, parts = time.monotonic() - begun, rounds * len(INSTITUTIONS)
    updates = [entry for closed in job["history"] for entry in closed["participants"].values() if entry["weights"]]
    found = {entry.get("encoding") or "f32" for entry in updates}
    if found != {encoding} or len(updates) != parts:
        raise RuntimeError(f"{len(updates)} updates came, in {found}, and not {parts} in {encoding}")
    return {"requests": (requests() - asked) / parts, "bytes": (sent() - before) / parts, "seconds": seconds / rounds}


def memory(pid: int) -> dict[str, int]:
    """The kernel's sizes of a process, in KiB."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}


def rows_of_jobs(federation: Federation, asked: argparse.Namespace, targets: Targets) -> str:
    rows = []
    for encoding, share, most in ENCODINGS:
        found = a_job(federation, encoding, share, asked.rounds)
        of_model = found["bytes"] / MODEL_BYTES
        rows.append([encoding, f"{found['requests']:.1f}", f"{found['bytes']:,.0f}", f"{of_model:.3f}", f"{found['seconds']:.1f}"])
        print(rows[-1], flush=True)
        targets.at_most(f"{encoding}: requests of an institution and round", found["requests"], MOST_REQUESTS)
        targets.at_most(f"{encoding}: bytes sent, as a share of the model in 32 bits", of_model, most, 3)
    return table(["encoding", "requests", "bytes sent", "of the model", "a round, s"], rows)


def rows_of_waiting(when: str, federation: Federation, asked: argparse.Namespace, targets: Targets) -> list[list[str]]:
    """What the programs hold and need while nothing is to be done."""
    time.sleep(asked.settle)
    pids = [process.pid for process in federation.started]
    used, since = [processor_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(asked.seconds)
    seconds = time.monotonic() - since
    percent = [100 * (processor_seconds(pid) - before) / seconds for pid, before in zip(pids, used)]
    kib = [memory(pid) for pid in pids]
    rows = []
    for name, own in {"coordinator": slice(0, 1), "client": slice(1, None)}.items():
        resident, allocated = ([sizes[what] / 1024 for sizes in kib[own]] for what in ("VmRSS", "RssAnon"))
        rows.append([f"{name}, {when}", spread(resident, 1), spread(allocated, 1), spread(percent[own], 2)])
        print(rows[-1], flush=True)
        targets.at_most(f"{name}, {when}: resident memory in MiB", max(resident), MOST_MIB[name], 1)
        targets.at_most(f"{name}, {when}: percent of a processor", statistics.median(percent[own]), MOST_PERCENT)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder of the four programs")
    parser.add_argument("--rounds", type=int, default=5, help="of each job")
    parser.add_argument("--seconds", type=float, default=30, help="for which the waiting processes are watched")
    parser.add_argument("--settle", type=float, default=15, help="seconds before that, in which they come to rest")
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-daemons`")
    asked = parser.parse_args()
    load, targets = os.getloadavg()[0], Targets()
    with tempfile.TemporaryDirectory() as name, Federation(asked.programs.resolve(), pathlib.Path(name)) as federation:
        for institution in INSTITUTIONS:
            data = pathlib.Path(name) / "data" / institution
            data.mkdir(parents=True)
            stream.make(data, SIDE, PATCHES, deflate=False)
            federation.join(institution, data)
        idle = rows_of_waiting("started", federation, asked, targets)
        jobs = rows_of_jobs(federation, asked, targets)
        idle += rows_of_waiting("after these jobs", federation, asked, targets)
    text = (f"{circumstances(load)} {len(INSTITUTIONS)} daemons, {asked.rounds} rounds of each encoding; what one institution "
            f"sends in a round:\n\n{jobs}\n\nPrograms that wait, during {asked.seconds:.0f} s:\n\n"
            + table(["program", "resident, MiB", "of that allocated, MiB", "percent of a processor"], idle))
    publish(asked.document, "bench-daemons", text, targets)


if __name__ == "__main__":
    main()
