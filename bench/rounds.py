#!/usr/bin/env python3
"""Rounds beside Flower: `eosfed-load rounds` and a Flower federation take turns, and what they need is compared.

    PYTHON bench/rounds.py --load target/release/eosfed-load --document docs/performance.md

PYTHON has flwr, numpy and cryptography, as `make bench-rounds` installs them. Both sides run FedAvg over a model of the
size of ConvNeXtV2-Atto, over TLS on loopback, with clients that train next to nothing. Our server is the coordinator;
Flower's is the SuperLink with the ServerApp that it starts. Fails when a ratio or a limit is not kept.
"""

import argparse
import contextlib
import datetime
import ipaddress
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from document import Targets, circumstances, median_ratio, publish, spread, table
from flower.processes import resident_mib, tree
from rules import PARAMETERS, shapes

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(sys.executable).parent
START_S, RUN_S = 60, 1800
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "rounds"
version = "1.0.0"
dependencies = []
[tool.flwr.app]
publisher = "bench"
[tool.flwr.app.components]
serverapp = "rounds.app:server"
clientapp = "rounds.app:client"
[tool.flwr.app.config]
"""

# How many times as much time and processor they take at least.
TIMES = {"Flower": 100, "Flower, one flat array": 20}
MOST_PROCESSOR_S, MOST_PEAK_MIB = 0.04, {4: 64, 16: 64}


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def certify(folder: pathlib.Path) -> None:
    """An authority and a certificate of it for 127.0.0.1."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name: str, key, issuer: str, signed_by, authority: bool) -> bytes:
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (name, issuer)]
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
        made = (x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=2))
                .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
                .add_extension(local, critical=False))
        return made.sign(signed_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate("ca", authority, "ca", authority, True))
    (folder / "server.pem").write_bytes(certificate("server", server, "ca", authority, False))
    (folder / "server.key").write_bytes(server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Flower:
    """A SuperLink and SuperNodes, which end when it is left."""

    def __init__(self, folder: pathlib.Path, clients: int):
        self.folder, self.clients, self.started = folder, clients, []
        self.env = os.environ | {"FLWR_HOME": str(folder / "home"), "FLWR_TELEMETRY_ENABLED": "0",
                                 "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.peak, self.over = 0.0, threading.Event()

    def start(self, name: str, *words) -> subprocess.Popen:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([str(BIN / words[0]), *map(str, words[1:])], env=self.env, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        self.started.append(process)
        return process

    def __enter__(self) -> "Flower":
        certify(self.folder)
        port, *own = free_ports(self.clients + 1)
        (self.folder / "home").mkdir()
        (self.folder / "home" / "config.toml").write_text(
            f'[superlink]\ndefault = "bench"\n[superlink.bench]\naddress = "127.0.0.1:{port}"\n'
            f'root-certificates = "{self.folder / "ca.pem"}"\n')
        self.link = self.start(
            "superlink", "flower-superlink", "--ssl-certfile", self.folder / "server.pem", "--ssl-keyfile",
            self.folder / "server.key", "--ssl-ca-certfile", self.folder / "ca.pem", "--host", "127.0.0.1", "--port", port,
            "--disable-runtime-dependency-installation")
        until = time.monotonic() + START_S
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if self.link.poll() is not None or time.monotonic() > until:
                sys.exit(f"error: the SuperLink does not start:\n{self.log('superlink')}")
            time.sleep(0.1)
        for number, own_port in enumerate(own):
            self.start(f"node-{number}", "flower-supernode", "--root-certificates", self.folder / "ca.pem", "--superlink",
                       f"127.0.0.1:{port}", "--host", "127.0.0.1", "--port", own_port)
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def watch(self) -> None:
        while not self.over.wait(0.2):
            self.peak = max(self.peak, resident_mib(self.link.pid))

    def __exit__(self, *_) -> None:
        self.over.set()
        # What they have started outlives them otherwise.
        below = {pid for process in self.started for pid in tree(process.pid)}
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def rounds(self, count: int, arrays: list) -> list[dict]:
        """What each of some rounds took."""
        app, marks, shapes_file = self.folder / "app", self.folder / "marks", self.folder / "shapes.json"
        shapes_file.write_text(json.dumps(arrays))
        (app / "rounds").mkdir(parents=True)
        for file in ("app.py", "processes.py"):
            shutil.copy(HERE / "flower" / file, app / "rounds" / file)
        (app / "rounds" / "__init__.py").write_text("")
        config = {"clients": self.clients, "rounds": count, "shapes": str(shapes_file), "marks": str(marks),
                  "superlink": self.link.pid}
        (app / "pyproject.toml").write_text(PROJECT + "".join(f"{key} = {json.dumps(one)}\n" for key, one in config.items()))
        asked = subprocess.run([BIN / "flwr", "run", app, "bench"], env=self.env, capture_output=True, text=True)
        if asked.returncode != 0:
            sys.exit(f"error: flwr run ended with {asked.returncode}:\n{asked.stdout}{asked.stderr}")
        until, lines = time.monotonic() + RUN_S, []
        while len(lines) <= count:
            if self.link.poll() is not None or time.monotonic() > until:
                sys.exit(f"error: {len(lines)} of {count} rounds of Flower:\n{self.log('superlink')}{self.log('node-0')}")
            time.sleep(0.2)
            lines = marks.read_text().splitlines() if marks.exists() else []
        at = [json.loads(line) for line in lines]
        return [{"seconds": after["at"] - before["at"], "processor": after["processor"] - before["processor"]}
                for before, after in zip(at, at[1:])]


def flower(clients: int, count: int, arrays: list) -> dict:
    with tempfile.TemporaryDirectory() as folder, Flower(pathlib.Path(folder), clients) as federation:
        return {"rounds": federation.rounds(count, arrays), "peak_mib": federation.peak}


def ours(load: pathlib.Path, clients: int, count: int) -> dict:
    done = subprocess.run([load, "rounds", "--clients", str(clients), "--count", str(count)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {load} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout)
    rounds = [{"seconds": one["seconds"], "processor": one["processor_seconds"]} for one in found["rounds"]]
    return {"rounds": rounds, "peak_mib": found["peak_kib"] / 1024}


class Side:
    """What one program needed at one number of clients."""

    def __init__(self, clients: int, runs: list[dict]):
        rounds = [one for run in runs for one in run["rounds"]]
        self.seconds = [one["seconds"] for one in rounds]
        self.processor = [one["processor"] / clients for one in rounds]
        self.peak = [run["peak_mib"] for run in runs]


def judge(found: dict[int, dict[str, Side]]) -> Targets:
    targets = Targets()
    for clients, sides in found.items():
        own = sides["EoS-Fed"]
        for name, times in TIMES.items():
            if name not in sides:
                continue
            for what, values, others in (("time", own.seconds, sides[name].seconds),
                                         ("processor of the server", own.processor, sides[name].processor)):
                targets.at_least(f"{clients} clients, {what}: {name} to ours", median_ratio(others, values), times, 0)
        targets.at_most(f"{clients} clients: seconds of processor a client and round", statistics.median(own.processor),
                        MOST_PROCESSOR_S, 3)
        if clients in MOST_PEAK_MIB:
            targets.at_most(f"{clients} clients: peak memory in MiB", max(own.peak), MOST_PEAK_MIB[clients], 0)
    return targets


def rows(found: dict[int, dict[str, Side]]) -> str:
    return table(
        ["", "clients", "a round, s", "processor of the server a client and round, s", "peak memory of the server, MiB"],
        [[name, str(clients), spread(side.seconds, 2), spread(side.processor, 3), spread(side.peak, 0)]
         for clients, sides in found.items() for name, side in sides.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", type=pathlib.Path, required=True, help="the program eosfed-load")
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-rounds`")
    parser.add_argument("--clients", default="4x3,16x1", help="numbers of clients, each with its repetitions")
    parser.add_argument("--rounds", type=int, default=3, help="our rounds of a repetition; Flower has one, and with one array two")
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    asked = parser.parse_args()
    arrays = [list(shape) for shape in shapes().values()]
    assert sum(math.prod(shape) for shape in arrays) == PARAMETERS
    cases = [tuple(map(int, case.split("x"))) for case in asked.clients.split(",")]
    load_before, report, found = os.getloadavg()[0], [], {}
    for clients, repetitions in cases:
        runs = {"EoS-Fed": [], "Flower": [], "Flower, one flat array": []}
        for _ in range(repetitions):
            for name, one in (("EoS-Fed", lambda: ours(asked.load, clients, asked.rounds)),
                              ("Flower", lambda: flower(clients, 1, arrays)),
                              ("Flower, one flat array", lambda: flower(clients, 2, [[PARAMETERS]]))):
                runs[name].append(one())
                report.append({"clients": clients, "program": name} | runs[name][-1])
                print(json.dumps(report[-1]), flush=True)
        found[clients] = {name: Side(clients, some) for name, some in runs.items()}
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1))
    text = (f"{circumstances(load_before)} Flower 1.42.0. Medians, with the least and the most; {PARAMETERS:,} numbers in "
            f"{len(arrays)} arrays.\n\n{rows(found)}")
    publish(asked.document, "bench-rounds", text, judge(found))


if __name__ == "__main__":
    main()
