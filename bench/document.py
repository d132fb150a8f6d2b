"""Puts what a measurement has found into a document, between two marks that name its command."""

import os
import pathlib
import platform
import subprocess
import sys
import time


def replace(document: pathlib.Path, command: str, text: str) -> None:
    """Replaces what stands between the marks of `make COMMAND`."""
    begin, end = f"<!-- made by `make {command}` -->", f"<!-- end of what `make {command}` makes -->"
    old = document.read_text()
    if begin not in old or end not in old.split(begin, 1)[1]:
        sys.exit(f"error: {document} does not have the two lines `{begin}` and `{end}`, in this order")
    head, rest = old.split(begin, 1)
    document.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest.split(end, 1)[1]}")


def circumstances(load_before: float) -> str:
    """The commit, the machine and how busy it was, as a sentence."""
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return (f"Commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors of {model}; load "
            f"of the machine {load_before:.1f} before and {os.getloadavg()[0]:.1f} at the end.")
