#!/usr/bin/env python3
"""Installs the package eosfed-trainer-cuda on a Debian, as an institution with a GPU does: over a network,
interrupted once, and without a network from a folder of wheels. Nothing here needs a GPU.

It downloads 2.3 GB twice and takes 12 GB of disk meanwhile, so it is not part of the gate:
`make cuda-package-test`.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
from machine import Failed

PACKAGE = "eosfed-trainer-cuda"
STATE = f"dpkg-query --show --showformat='${{Status}}' {PACKAGE}"
INSTALLED = "install ok installed"
LIBRARIES = "usr/lib/eosfed-trainer-cuda"
# Most seconds for a download of 2.3 GB, and for unpacking it.
DOWNLOAD_SECONDS = 3600
# How much has arrived when the machine goes down.
ENOUGH = 200_000_000
# How this machine reaches its package index: pip's settings and the certificates that it trusts.
FROM_HERE = ["/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"]


class Root:
    """A copy of the Debian root in which single commands run, with the network of this machine or without."""

    def __init__(self, folder):
        self.path = folder / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", machine.base(), self.path], check=True)

    def words(self, command, network=True, environment=()):
        """The command line that runs a shell command inside."""
        shared = [f"--bind-ro={path}" for path in FROM_HERE if network and Path(path).exists()]
        pip = [f"--setenv={name}={value}" for name, value in os.environ.items() if network and name.startswith("PIP_")]
        given = [f"--setenv={name}={value}" for name, value in environment]
        return ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", f"--directory={self.path}",
                *([] if network else ["--private-network"]), *shared, *pip, *given,
                "--setenv=DEBIAN_FRONTEND=noninteractive", "sh", "-c", command]

    def start(self, command, **options):
        """Starts a command inside."""
        return subprocess.Popen(self.words(command, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run(self, command, code=0, **options):
        """Runs a command inside; gives what it says."""
        started = self.start(command, **options)
        said = started.communicate(timeout=DOWNLOAD_SECONDS)[0]
        if (started.returncode == 0) != (code == 0):
            raise Failed(f"`{command}` ended with {started.returncode}:\n{said[-3000:]}")
        return said

    def size(self, place):
        """The bytes of all files under a folder."""
        files = [path for path in (self.path / place).rglob("*") if path.is_file() and not path.is_symlink()]
        return sum(path.stat().st_size for path in files)


def expect(said, *words):
    """Fails unless all of this was said."""
    for word in words:
        if word not in said:
            raise Failed(f"it should say `{word}`, and says:\n{said[-3000:]}")


def goes_on_after_an_interruption(root):
    """The machine goes down while the package is configured; then there is no network; then `dpkg --configure` goes on."""
    started = root.start("dpkg -i /srv/package.deb")
    while root.size(LIBRARIES) < ENOUGH:
        if started.poll() is not None:
            raise Failed(f"it ended before enough had arrived:\n{started.communicate()[0][-3000:]}")
        time.sleep(0.5)
    # Its first process takes all others with it.
    first = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()[0]
    os.kill(int(first), signal.SIGKILL)
    started.communicate(timeout=60)
    arrived = root.size(LIBRARIES)
    if INSTALLED in root.run(STATE):
        raise Failed("the package counts as installed without its libraries")
    expect(root.run("dpkg --configure eosfed-trainer-cuda", code=1, network=False),
           "the libraries are not complete", "EOSFED_WHEELS=DIR")
    kept = root.size(LIBRARIES)
    print(f"  arrived before: {arrived / 1e6:.0f} MB, kept: {kept / 1e6:.0f} MB", flush=True)
    if kept < ENOUGH:
        raise Failed("what had arrived was given up")
    root.run(f"dpkg --configure {PACKAGE}")
    is_whole(root)


def is_whole(root):
    """The package is installed, its program opens libtorch's CUDA part, and no wheel is left."""
    expect(root.run(STATE), INSTALLED)
    if list((root.path / LIBRARIES).rglob("*.whl")):
        raise Failed("wheels are left")
    said = root.run("eosfed-trainer device", network=False)
    expect(said, "libtorch's CUDA part is loaded")
    print(f"  installed: {root.size(LIBRARIES) / 1e9:.1f} GB; `eosfed-trainer device` says: {said.splitlines()[0]}", flush=True)


def is_removed(root):
    """Nothing of the package is left after `dpkg --purge`."""
    root.run(f"dpkg --purge {PACKAGE}", network=False)
    left = [place for place in [LIBRARIES, "usr/bin/eosfed-trainer", "usr/share/eosfed-trainer-cuda"]
            if (root.path / place).exists()]
    if left:
        raise Failed(f"left after the purge: {', '.join(left)}")


def installs_from_a_folder(root):
    """Without a network it installs from a folder that another machine has fetched, and from nothing else."""
    root.run("eosfed-trainer-libraries --fetch /srv/wheels")
    is_removed(root)
    expect(root.run("dpkg -i /srv/package.deb", code=1, network=False), "the libraries are not complete")
    broken = next((root.path / "srv/wheels").glob("*.whl"))
    content = broken.read_bytes()
    broken.write_bytes(content[:-1])
    offline = {"network": False, "environment": [("EOSFED_WHEELS", "/srv/wheels")]}
    expect(root.run(f"dpkg --configure {PACKAGE}", code=1, **offline), broken.name, "the libraries are not complete")
    broken.write_bytes(content)
    root.run(f"dpkg --configure {PACKAGE}", **offline)
    is_whole(root)
    is_removed(root)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True, help="the package")
    asked = parser.parse_args()
    why = machine.missing()
    if why:
        print(f"skipped: the test of {PACKAGE}: {why}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="cuda-", dir=machine.base().parent))
    try:
        root = Root(folder)
        root.run("apt-get update -q && apt-get install -q -y --no-install-recommends python3 python3-pip ca-certificates zlib1g")
        shutil.copy(asked.package, root.path / "srv/package.deb")
        for step in [goes_on_after_an_interruption, installs_from_a_folder]:
            started = time.monotonic()
            print(f"{step.__name__}: {step.__doc__}", flush=True)
            step(root)
            print(f"  ok, {time.monotonic() - started:.0f} s", flush=True)
    except Failed as error:
        print(f"FAILED: {error}")
        return 1
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
