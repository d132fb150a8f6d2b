#!/usr/bin/env python3
"""Runs compose.yaml with real containers of podman and checks what comes out. `make container-test`.

It reads the same file as `docker compose` and obeys what the file says of a service: image, command,
environment, volumes, read-only root, capabilities, conditions of `depends_on` and health checks. One
thing differs: all containers share the host's network, because a machine for tests may not be able to
make bridges. So the test shows nothing about the network `federation` of the file.

Exit code 0 with a line `skipped: ...` where root, podman or PyYAML is missing.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 900
# Of files and of processes. They are below every default, which podman could not raise without CAP_SYS_RESOURCE.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]
# The user of the images.
USER = "10001"


class Failed(Exception):
    """What is wrong."""


def expanded(text):
    """Compose's ${NAME:-DEFAULT}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: os.environ.get(found[1]) or found[2], text)


def read(path):
    """The services and volumes of a file."""
    import yaml  # noqa: PLC0415

    document = yaml.safe_load(expanded(path.read_text()))
    return document["services"], document["volumes"]


def seconds(text):
    """A duration such as 5s or 1m."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


class Compose:
    """The containers of one run."""

    def __init__(self, engine, services, volumes, prefix):
        self.engine, self.services, self.prefix = engine, services, prefix
        self.volumes = {name: f"{prefix}-{name}" for name in volumes}
        self.results, self.ready = {}, {}
        self.changed = threading.Condition()

    def podman(self, *words, check=True):
        """Runs podman and gives what it prints."""
        run = subprocess.run([*self.engine, *words], capture_output=True, text=True, check=False)
        if check and run.returncode:
            raise Failed(f"podman {' '.join(words)}: {run.stderr.strip()}")
        return run

    def container(self, name):
        return f"{self.prefix}-{name}"

    def create(self, name):
        """Makes the container of a service, as the file says."""
        service = self.services[name]
        known = {
            "image", "command", "environment", "volumes", "read_only", "cap_drop", "security_opt", "pids_limit",
            "tmpfs", "networks", "network_mode", "depends_on", "healthcheck", "restart", "stop_grace_period",
        }
        unknown = set(service) - known
        if unknown:
            raise Failed(f"service {name}: this test does not know {sorted(unknown)}")
        words = ["create", "--name", self.container(name), "--no-healthcheck", *LIMITS]
        if service.get("network_mode") == "none":
            words += ["--network", "none"]
        else:
            words += ["--network", "host", "--add-host", "coordinator:127.0.0.1"]
        words += ["--read-only"] if service["read_only"] else []
        words += [f"--cap-drop={name}" for name in service["cap_drop"]]
        # `no-new-privileges:true` of Docker is `no-new-privileges` of podman.
        words += [f"--security-opt={option.removesuffix(':true')}" for option in service["security_opt"]]
        words += [f"--tmpfs={one}" for one in service["tmpfs"]]
        words += [f"--env={key}={value}" for key, value in service.get("environment", {}).items()]
        for volume in service.get("volumes", []):
            source, rest = volume.split(":", 1)
            source = self.volumes[source] if source in self.volumes else str((HERE / source).resolve())
            words.append(f"--volume={source}:{rest}")
        self.podman(*words, service["image"], *service.get("command", []))

    def waits(self, name):
        """Waits until what a service depends on is as it demands."""
        for other, how in self.services[name].get("depends_on", {}).items():
            self.until(other, how["condition"])

    def until(self, name, condition):
        deadline = time.monotonic() + LIMIT
        with self.changed:
            while True:
                result = self.results.get(name)
                if condition == "service_completed_successfully" and result == 0:
                    return
                if condition == "service_healthy" and self.ready.get(name):
                    return
                if result is not None:
                    raise Failed(f"{name} has ended with {result}")
                if not self.changed.wait(max(0, deadline - time.monotonic())):
                    raise Failed(f"{name} is not {condition} after {LIMIT} s")

    def set(self, where, name, value):
        with self.changed:
            where[name] = value
            self.changed.notify_all()

    def check_health(self, name, began):
        """Runs the health check until it succeeds; podman's own timer needs systemd."""
        check = self.services[name]["healthcheck"]
        kind, *command = check["test"]
        assert kind == "CMD"
        failures = 0
        while name not in self.results:
            if self.podman("exec", self.container(name), *command, check=False).returncode == 0:
                self.set(self.ready, name, time.monotonic() - began)
                return
            failures += 1
            if failures > check["retries"] * seconds(check["interval"]):
                self.set(self.results, name, "failing health checks")
            time.sleep(1)

    def serve(self, name):
        """Waits for a service's conditions, runs it and keeps its result."""
        try:
            self.waits(name)
            self.create(name)
            began = time.monotonic()
            self.podman("start", self.container(name))
            if "healthcheck" in self.services[name]:
                self.check_health(name, began)
            code = int(self.podman("wait", self.container(name)).stdout)
            self.set(self.results, name, code)
        except Failed as error:
            print(f"  {name}: {error}", file=sys.stderr)
            self.set(self.results, name, "not started")

    def up(self):
        """Runs all services, and gives back when all that end have ended."""
        for name in self.services:
            threading.Thread(target=self.serve, args=[name], daemon=True).start()
        for name, service in self.services.items():
            condition = "service_healthy" if "healthcheck" in service else "service_completed_successfully"
            self.until(name, condition)

    def logs(self, name):
        run = self.podman("logs", self.container(name), check=False)
        return run.stdout + run.stderr

    def down(self):
        for name in self.services:
            self.podman("rm", "--force", "--time", "20", self.container(name), check=False)
        for volume in self.volumes.values():
            self.podman("volume", "rm", "--force", volume, check=False)


def restrictions(compose, name):
    """Checks that a running service is as restricted as the file says. Gives its resident memory in kB."""
    found = json.loads(compose.podman("inspect", compose.container(name)).stdout)[0]
    status = Path(f"/proc/{found['State']['Pid']}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    users = set(fields["Uid"].split() + fields["Gid"].split())
    wrong = []
    if users != {USER}:
        wrong.append(f"runs as {users}")
    for capabilities in ("CapEff", "CapPrm", "CapBnd"):
        if int(fields[capabilities], 16):
            wrong.append(f"has capabilities {capabilities} {fields[capabilities].strip()}")
    if fields["NoNewPrivs"].strip() != "1":
        wrong.append("may gain privileges")
    mounts = Path(f"/proc/{found['State']['Pid']}/mounts").read_text().splitlines()
    root = next(line.split() for line in mounts if line.split()[1] == "/")
    if "ro" not in root[3].split(","):
        wrong.append(f"has a root that can be written ({root[3]})")
    if found["HostConfig"]["PortBindings"]:
        wrong.append("publishes ports")
    if wrong:
        raise Failed(f"{name} {'; '.join(wrong)}")
    return int(fields["VmRSS"].split()[0])


def shells(compose):
    """The images that hold a shell."""
    found = []
    for name in ("coordinator", "west", "one-shot"):
        for shell in ("/bin/sh", "/usr/bin/sh", "/bin/bash"):
            image = compose.services[name]["image"]
            words = ["run", "--rm", "--no-healthcheck", *LIMITS, "--network", "none"]
            run = compose.podman(*words, "--entrypoint", shell, image, "-c", "true", check=False)
            if run.returncode == 0:
                found.append(f"{image} {shell}")
    return found


def report(compose, took):
    """Sizes and times."""
    print(f"\nthe story took {took:.0f} s")
    for name in ("coordinator", "west", "east"):
        memory = restrictions(compose, name)
        print(f"  {name}: ready after {compose.ready[name]:.1f} s; {memory / 1000:.0f} MB resident at the end")
    for image in sorted({service["image"] for service in compose.services.values()}):
        size = json.loads(compose.podman("image", "inspect", image).stdout)[0]["Size"]
        print(f"  {image}: {size / 1e6:.0f} MB")


def story(compose):
    """Runs the file and checks the result."""
    began = time.monotonic()
    compose.up()
    took = time.monotonic() - began
    for name in ("coordinator", "west", "east"):
        restrictions(compose, name)
    verified = compose.logs("release")
    if "3 specialists, as they were released" not in verified:
        raise Failed(f"no release of three specialists was verified:\n{verified}")
    for job, specialist in (("one-shot", "west-rgb"), ("one-shot", "east-six-bands"), ("rounds", "shared-six-bands")):
        if f"{specialist}@1 was frozen" not in compose.logs(job):
            raise Failed(f"{job} has not made {specialist}:\n{compose.logs(job)}")
    with_shell = shells(compose)
    if with_shell:
        raise Failed(f"there is a shell: {', '.join(with_shell)}")
    print(verified.splitlines()[0])
    report(compose, took)


def missing(engine):
    """Why the test cannot run here."""
    if os.geteuid() != 0:
        return "it needs root"
    if not shutil.which(engine[0]) or not shutil.which("runc"):
        return "podman or runc is not installed"
    try:
        import yaml  # noqa: F401, PLC0415
    except ImportError:
        return "PyYAML is not installed (apt-get install python3-yaml)"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave containers and volumes")
    parser.add_argument("--check", action="store_true", help="only say whether the test can run here")
    arguments = parser.parse_args()
    engine = shlex.split(os.environ.get("ENGINE") or "podman --runtime runc --cgroup-manager=cgroupfs")
    why = missing(engine)
    if why:
        print(f"skipped: container-test: {why}")
        return 3 if arguments.check else 0
    if arguments.check:
        return 0
    os.environ.setdefault("EOSFED_PREFIX", "localhost/")
    services, volumes = read(HERE / "compose.yaml")
    compose = Compose(engine, services, volumes, f"eosfed-test-{os.getpid()}")
    try:
        story(compose)
    except Failed as error:
        for name in services:
            print(f"---- {name}: {compose.results.get(name)}\n{compose.logs(name)[-2000:]}", file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:
            compose.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
