"""Gets pinned wheels from whatever package index pip is configured with, as plain data.

Nothing is installed or run. A download goes on where an earlier one ended, is checked against its
pinned SHA-256 and appears under its name whole or not at all. Standard library and pip only.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

CHUNK = 1 << 20


class FetchError(Exception):
    """What went wrong, and what to do, in words for the person at the keyboard."""


def cache_folder():
    """The user's cache folder of this project, shared by all checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "eosfed"


@contextmanager
def locked(folder):
    """Holds `folder` against other runs of these scripts; waits for them."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run that uses {folder} ...", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need_pip():
    """Makes sure that pip can be run."""
    probe = [sys.executable, "-m", "pip", "--version"]
    if subprocess.run(probe, capture_output=True).returncode == 0:
        return
    subprocess.run([sys.executable, "-m", "ensurepip", "--user"], capture_output=True)
    if subprocess.run(probe, capture_output=True).returncode != 0:
        raise FetchError("pip is missing; install it with: apt-get install python3-pip")


def locate(wheel):
    """The address of a pinned wheel, as the configured index gives it."""
    need_pip()
    return _listed(wheel) or _reported(wheel)


def _pip(*words):
    return subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)


def _listed(wheel):
    """The address among those that pip finds while it lists versions; None if pip does not print it. To list
    downloads nothing, while a report makes an older pip download the whole wheel."""
    run = _pip("index", "versions", "-vv", "--only-binary=:all:", *wheel.get("tags", []), wheel["name"])
    version = re.escape(wheel["version"])
    found = re.search(rf"Found link (https?://\S+?\.whl)\S* .*, version: {version}$", run.stdout, re.MULTILINE)
    return found and found[1]


def _reported(wheel):
    command = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"]
    command += ["--only-binary=:all:", "--target", os.devnull + "-unused"]
    run = _pip(*command, *wheel.get("tags", []), f"{wheel['name']}=={wheel['version']}")
    if run.returncode != 0:
        reason = run.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise FetchError(f"pip cannot find {wheel['name']} {wheel['version']}: {reason[0]}")
    report = json.loads(run.stdout)
    return report["install"][0]["download_info"]["url"]


def trusted():
    """TLS that trusts what pip is told to trust."""
    bundle = os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle:
        command = [sys.executable, "-m", "pip", "config", "get", "global.cert"]
        run = subprocess.run(command, capture_output=True, text=True)
        bundle = run.stdout.strip() if run.returncode == 0 else None
    return ssl.create_default_context(cafile=bundle or None)


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Progress:
    """A bar on a terminal, a line every tenth elsewhere; on standard error."""

    def __init__(self, name, total):
        self.name, self.total, self.tenth, self.drawn = name, total, -1, 0.0

    def show(self, done):
        share = done / self.total if self.total else 1.0
        text = f"{self.name}  {done / 1e6:8.1f} of {self.total / 1e6:.1f} MB"
        if sys.stderr.isatty():
            if time.monotonic() - self.drawn > 0.1 or done >= self.total:
                bar = "#" * int(share * 30)
                print(f"\r{bar:<30} {share:4.0%}  {text}", end="", file=sys.stderr, flush=True)
                self.drawn = time.monotonic()
        elif int(share * 10) > self.tenth:
            self.tenth = int(share * 10)
            print(f"{share:4.0%}  {text}", file=sys.stderr, flush=True)

    def close(self):
        if sys.stderr.isatty():
            print(file=sys.stderr)


def download(url, path, digest, name):
    """Fetches `url` into `path`, going on from `path`.part. Its SHA-256 must be `digest`."""
    part = path.with_name(path.name + ".part")
    for attempt in range(1, 6):
        have = part.stat().st_size if part.exists() else 0
        try:
            _receive(url, part, have, name)
            break
        except (urllib.error.URLError, OSError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:
                break  # Everything is here already.
            if attempt == 5:
                raise FetchError(
                    f"{name}: {error}; what has arrived is kept in {part}, run the same command again"
                ) from error
            time.sleep(attempt)
    found = sha256(part)
    if found != digest:
        part.unlink()
        raise FetchError(f"{name} has SHA-256 {found}, expected {digest}; it was thrown away")
    part.rename(path)


def _receive(url, part, have, name):
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    context = trusted() if url.startswith("https:") else None
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        if answer.status != 206:
            have = 0  # The server sends it from the start.
        expected = have + int(answer.headers.get("Content-Length") or 0)
        progress = Progress(name, expected)
        with open(part, "ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress.show(have)
        progress.close()
        if have < expected:
            raise OSError(f"the connection ended at byte {have} of {expected}")


def wheel_file(wheel, folder, offline=None):
    """The pinned wheel as a file in `folder`, fetched if it is not there. With `offline`, a folder of wheels
    under the index's names or as this function names them, nothing is fetched."""
    name = f"{wheel['name']}-{wheel['version']}.whl"
    if offline:
        return _offline(wheel, offline, name)
    path = folder / name
    if not path.exists():
        download(locate(wheel), path, wheel["sha256"], f"{wheel['name']} {wheel['version']}")
    return path


def _offline(wheel, folder, name):
    pattern = f"{wheel['name'].replace('-', '_')}-{wheel['version']}-*.whl"
    found = [path for path in [folder / name, *sorted(folder.glob(pattern))] if path.exists()]
    digests = {path: sha256(path) for path in found}
    for path, digest in digests.items():
        if digest == wheel["sha256"]:
            return path
    if found:
        others = ", ".join(f"{path.name} has {digest}" for path, digest in digests.items())
        raise FetchError(f"{folder}: no {pattern} has SHA-256 {wheel['sha256']}: {others}")
    tags = " ".join(wheel.get("tags", []))
    raise FetchError(
        f"{folder} holds no {pattern}; where there is a network, get it with: "
        f"pip download --no-deps --only-binary=:all: {tags} {wheel['name']}=={wheel['version']}"
    )


def need_space(folder, needed):
    """Refuses to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed; "
            "make room or set XDG_CACHE_HOME to a folder on a larger disk"
        )
