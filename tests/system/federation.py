"""A coordinator and institutions under their units, driven by the installed commands."""

import json
import struct
import time
import zlib

from machine import Failed

COORDINATOR = "eosfed-coordinator"
CLIENT = "eosfed-client"
STATE = "/var/lib/eosfed/coordinator"
PORT = 7443

DATASET = """\
task = "classification"
bands = ["red", "green", "blue"]
classes = ["dark", "bright"]
[layout]
kind = "folders"
root = "."
[split]
by = "digest"
validation = 0.25
"""
POLICY = """\
may_leave = ["frozen_weights", "updates", "metrics", "statistics", "provenance", "failures"]
min_institutions = 2
max_epochs = 100
approval = "automatic"
min_samples = 1
min_steps = 1
[allow]
job_kinds = ["rounds", "statistics"]
tasks = ["classification"]
backbones = ["convnextv2_atto"]
strategies = ["fed-avg"]
"""
PLAN = """\
version = 2
name = "system"
kind = "rounds"
seed = 7
release = "auto"
[model]
backbone = "convnextv2_atto"
task = "classification"
classes = ["dark", "bright"]
[[specialist]]
name = "system"
bands = ["red", "green", "blue"]
[participation]
min = {least}
max = {most}
deadline = "10m"
[rounds]
count = {rounds}
strategy = {{ name = "fed-avg" }}
[normalisation]
from = "federated"
[training]
epochs = {epochs}
batch_size = 4
learning_rate = 1e-3
"""


def picture(side, pixel):
    """A PNG of 8-bit RGB."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(side)) for y in range(side))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Federation:
    """The federation of a machine."""

    def __init__(self, machine):
        self.machine = machine

    def unit(self, name):
        """The unit of an institution."""
        return f"{CLIENT}@{name}.service"

    def init(self):
        """Makes the coordinator's state folder, as its user."""
        self.machine.run("eosfed-coordinator", "init", "--state", STATE, "--operator", "ada",
                         "--listen", f"127.0.0.1:{PORT}", user=COORDINATOR)

    def eosfed(self, *words):
        """The operator's command; gives what it prints as JSON."""
        done = self.machine.run("eosfed", "--identity", f"{STATE}/operator", "--output", "json", *words,
                                user=COORDINATOR)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def invite(self, name, seed):
        """Gives an institution imagery and a token, and names the token's file."""
        for kind, base in [("dark", 40), ("bright", 160)]:
            for number in range(20):
                def pixel(x, y):
                    value = base + (x * 31 + y * 17 + number * 101 + seed * 7 + x * y) % 53
                    return value, value // 2 + seed, 255 - value
                path = self.machine.root / f"srv/imagery/{name}/{kind}/{seed}-{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(32, pixel))
        self.machine.write(f"/srv/imagery/{name}/dataset.toml", DATASET)
        token = f"/tmp/{name}.token"
        self.eosfed("institution", "invite", name, "--token-file", token)
        self.machine.run("chown", CLIENT, token)
        return token

    def join(self, name, seed):
        """Gives an institution imagery and an identity."""
        token = self.invite(name, seed)
        self.machine.write("/srv/policy.toml", POLICY)
        state = f"/var/lib/eosfed/client/{name}"
        self.machine.run("eosfed-client", "join", "--token-file", token, "--state", state,
                         "--dataset", f"/srv/imagery/{name}", "--policy", "/srv/policy.toml", user=CLIENT)
        settings = self.machine.root / state.lstrip("/") / "client.toml"
        text = settings.read_text().replace("# threads = 4", "threads = 1")
        settings.write_text(text.replace("heartbeat_seconds = 10", "heartbeat_seconds = 1"))

    def submit(self, **plan):
        """Submits a job; gives its id."""
        self.machine.write("/srv/plan.toml", PLAN.format(**plan))
        return self.eosfed("job", "submit", "/srv/plan.toml")["job"]

    def job(self, job):
        """A job, as the operator sees it."""
        return self.eosfed("job", "show", job)

    def closed_rounds(self, job):
        """How many rounds of a job have closed."""
        return next(one["complete_rounds"] for one in self.jobs() if one["id"] == job)

    def jobs(self):
        """The summaries of all jobs."""
        return self.eosfed("job", "list")

    def wait_for_end(self, job, seconds=420):
        """Waits until a job is done."""
        started = time.monotonic()
        while True:
            state = next(one["state"] for one in self.jobs() if one["id"] == job)
            if state == "finished":
                return time.monotonic() - started
            if state in ("cancelled", "paused") or time.monotonic() - started > seconds:
                raise Failed(f"job {job} is {state} after {time.monotonic() - started:.0f} s:\n{self.job(job)}")
            time.sleep(0.5)
