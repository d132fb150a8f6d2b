"""A coordinator and institutions as real processes on this machine, for measurements: TLS on loopback, no stubs."""

import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

START_S, JOB_S = 30, 3600
POLICY = """\
may_leave = ["frozen_weights", "updates", "metrics", "statistics", "provenance", "failures"]
min_institutions = 2
max_epochs = 100000
approval = "automatic"
min_samples = 1
min_steps = 1

[allow]
job_kinds = ["one-shot", "rounds", "downstream", "evaluation", "statistics"]
tasks = ["classification"]
backbones = ["convnextv2_atto"]
strategies = ["fed-avg"]
encodings = ["f32", "bf16", "int8", "top-k", "top-k-bf16"]
"""


def run(words: list, **more) -> str:
    """The standard output of a program that must succeed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Federation:
    """Ends what it has started when it is left."""

    def __init__(self, programs: pathlib.Path, folder: pathlib.Path):
        self.programs, self.folder = programs, folder
        self.state = folder / "coordinator"
        self.started: list[subprocess.Popen] = []

    def __enter__(self) -> "Federation":
        run([self.programs / "eosfed-coordinator", "init", "--state", self.state, "--operator", "ada",
             "--listen", "127.0.0.1:0"])
        with (self.state / "coordinator.toml").open("a") as settings:
            settings.write('[http]\nlisten = "127.0.0.1:0"\n')
        output = self.folder / "coordinator.out"
        server = self.start(["eosfed-coordinator", "serve", "--state", self.state], "coordinator", output)
        until = time.monotonic() + START_S
        while "READY" not in output.read_text():
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the coordinator does not start:\n{self.log('coordinator')}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_) -> None:
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            process.wait()

    def start(self, words: list, name: str, output: pathlib.Path | None = None) -> subprocess.Popen:
        """Starts one of the programs, with its log in a file of this name."""
        program, *rest = [str(word) for word in words]
        with (self.folder / f"{name}.log").open("ab") as log, (output or pathlib.Path(os.devnull)).open("wb") as out:
            process = subprocess.Popen([self.programs / program, *rest], stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        self.started.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-2000:]

    def metric(self, name: str, *labels: str) -> float:
        """The sum of those series of one of the coordinator's metrics that have one of these words in their labels."""
        address = (self.state / "http-address").read_text().strip().removeprefix("http://")
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=START_S) as answer:
            lines = answer.read().decode().splitlines()
        series = [line.rsplit(" ", 1) for line in lines if line.startswith(f"{name}{{")]
        return sum(float(value) for head, value in series if any(label in head for label in labels))

    def ask(self, *words) -> dict:
        """What the operator's command prints as JSON."""
        env = os.environ | {"EOSFED_IDENTITY": str(self.state / "operator")}
        return json.loads(run([self.programs / "eosfed", "--output", "json", *words], env=env))

    def join(self, name: str, dataset: pathlib.Path) -> None:
        """Makes an institution that allows everything here, and starts its daemon with one thread."""
        token, policy = self.folder / f"{name}.token", self.folder / "policy.toml"
        policy.write_text(POLICY)
        self.ask("institution", "invite", name, "--token-file", token)
        client = self.programs / "eosfed-client"
        run([client, "join", "--token-file", token, "--state", self.folder / name, "--dataset", dataset,
             "--policy", policy])
        settings = self.folder / name / "client.toml"
        settings.write_text(settings.read_text().replace("# threads = 4", "threads = 1"))
        self.start(["eosfed-client", "run", "--state", self.folder / name], name)

    def sent(self, name: str) -> dict[str, int]:
        """Bytes that have left an institution, by kind."""
        status = run([self.programs / "eosfed-client", "status", "--state", self.folder / name, "--output", "json"])
        return json.loads(status)["sent_bytes"]

    def finish(self, plan: str) -> dict:
        """Submits a plan and waits for the end of its job."""
        file = self.folder / "plan.toml"
        file.write_text(plan)
        job = self.ask("job", "submit", file)["job"]
        until = time.monotonic() + JOB_S
        while time.monotonic() < until:
            found = self.ask("job", "show", job)
            if found["state"] == "finished":
                return found
            if found["state"] in ("paused", "cancelled"):
                raise RuntimeError(f"job {job} is {found['state']}: {found['why']}\n{self.log('coordinator')}")
            time.sleep(0.5)
        raise RuntimeError(f"job {job} has not ended within {JOB_S} s")
