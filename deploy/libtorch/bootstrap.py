#!/usr/bin/env python3
"""Installs the libtorch that the trainer links: prints the folder to set LIBTORCH to.

The libraries come out of the torch wheel that pip's index offers, pinned by hash. That wheel is the
CUDA build, which runs without a GPU too; beside itself it then needs two small CUDA libraries, which
are pinned as well. With --cuda, its CUDA part and NVIDIA's libraries lie in the same folder (3.5 GB
from 2.3 GB of wheels; all that is missing is the driver). The trainer is the same program for both.

An existing LIBTORCH is respected. The folder lies in the user's cache, so that all checkouts share
it, and a second run returns at once. A download goes on where it ended. Where there is no network,
--wheels (or EOSFED_WHEELS) names a folder of the wheels, which --fetch makes elsewhere.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from fetch import FetchError, cache_folder, locked, need_space, wheel_file  # noqa: E402

VERSION = "2.13.0"
# Wheels and what is unpacked of them, together.
NEEDED_BYTES = {"cpu": 2_200_000_000, "cuda": 6_000_000_000}
WHEELS = Path(__file__).resolve().parent / "wheels.json"


def selected(wheels, kind, headers=True):
    """The wheels of a kind, each with what to take of it. CUDA's folder holds all of the processor's."""
    kinds = ["cpu", "cuda"] if kind == "cuda" else ["cpu"]
    chosen = []
    for wheel in wheels:
        take = [name for each in kinds for name in wheel["take"].get(each, [])]
        take = [name for name in take if headers or not name.endswith("/")]
        if take:
            chosen.append({**wheel, "take": take})
    return chosen


def libraries(wheels):
    """The names of the libraries in a folder that is made of these wheels."""
    names = [Path(name).name for wheel in wheels for name in wheel["take"] if not name.endswith("/")]
    return sorted([*names, "libtorch.so"])


def problem(folder, wheels):
    """Why `folder` is not the libtorch that these wheels make; None if it is. A libtorch of the user's own has
    other libraries beside it, so only PyTorch's are asked for."""
    version = folder / "build-version"
    torch = [Path(name).name for wheel in wheels for name in wheel["take"] if name.startswith("torch/lib/libtorch")]
    for name in ["libtorch_cpu.so", *torch]:
        if not (folder / "lib" / name).exists():
            return f"{folder}/lib/{name} is missing"
    if any("torch/include/" in wheel["take"] for wheel in wheels) and not (folder / "include").is_dir():
        return f"{folder}/include is missing"
    found = version.read_text().strip() if version.exists() else "no build-version file"
    if not found.startswith(VERSION):
        return f"{folder} holds libtorch `{found}`, the trainer needs `{VERSION}`"
    return None


def is_complete(folder, wheels):
    """Whether an earlier run has finished. The version file is written last."""
    return problem(folder, wheels) is None and not missing(folder, wheels)


def missing(folder, wheels):
    """The libraries that a folder lacks."""
    return [name for name in libraries(wheels) if not (folder / "lib" / name).exists()]


def extract(wheel, path, target):
    """Copies what is needed of a wheel into include/ and lib/ of `target`."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("/") or not any(name.startswith(prefix) for prefix in wheel["take"]):
                continue
            header = name.partition("torch/include/")[2] if "torch/include/" in name else None
            place = target / "include" / header if header else target / "lib" / Path(name).name
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(place, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            place.chmod(0o644 if header else 0o755)


def install(folder, wheels, needed, offline=None):
    """Makes `folder`; leaves nothing half done under its name."""
    downloads = folder.parent / "wheels"
    downloads.mkdir(parents=True, exist_ok=True)
    arrived = sum(path.stat().st_size for path in downloads.iterdir())
    need_space(folder.parent, max(needed - arrived, 0))
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for wheel in wheels:
        path = wheel_file(wheel, downloads, offline)
        print(f"unpacking {wheel['name']} {wheel['version']} ...", file=sys.stderr)
        extract(wheel, path, fresh)
    (fresh / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")
    (fresh / "build-version").write_text(f"{VERSION}\n")
    if not is_complete(fresh, wheels):
        absent = ", ".join(missing(fresh, wheels))
        raise FetchError(f"the wheels do not hold {absent}; {WHEELS} needs mending")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    shutil.rmtree(downloads, ignore_errors=True)


def fetch_all(folder, wheels):
    """Downloads wheels into a folder, which it gives; goes on where an earlier run has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        wheel_file(wheel, folder)
    return folder


def provide(folder, environment, kind="cpu", headers=True, check=False, offline=None):
    """The folder of a usable libtorch; installs one if `check` is not set."""
    wheels = selected(json.loads(WHEELS.read_text()), kind, headers)
    given = environment.get("LIBTORCH")
    if given:
        wrong = problem(Path(given), wheels)
        if wrong:
            raise FetchError(f"LIBTORCH is set, but {wrong}; unset it to have libtorch installed")
        return Path(given)
    if is_complete(folder, wheels):
        return folder
    if check:
        command = "make libtorch CUDA=1" if kind == "cuda" else "make libtorch"
        raise FetchError(f"libtorch is not installed in {folder}; install it with: {command}")
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        raise FetchError(
            f"there is no pinned libtorch for {platform.system()} on {platform.machine()}; "
            f"install libtorch {VERSION} yourself and set LIBTORCH to it"
        )
    with locked(folder.parent):
        if not is_complete(folder, wheels):
            install(folder, wheels, NEEDED_BYTES[kind], offline)
    return folder


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuda", action="store_true", help="with libtorch's CUDA part and NVIDIA's libraries")
    parser.add_argument("--cache", type=Path, help="where to install it (default: a folder of the user's cache)")
    parser.add_argument("--wheels", type=Path, help="take the wheels from this folder; nothing is downloaded")
    parser.add_argument("--fetch", type=Path, help="only download the wheels into this folder, for --wheels elsewhere")
    parser.add_argument("--runtime", action="store_true", help="libraries only, without what compiling needs")
    parser.add_argument("--check", action="store_true", help="only say whether it is there")
    parser.add_argument("--print-env", action="store_true", help="print a line for the shell instead of the folder")
    arguments = parser.parse_args()
    kind = "cuda" if arguments.cuda else "cpu"
    offline = arguments.wheels or (os.environ.get("EOSFED_WHEELS") and Path(os.environ["EOSFED_WHEELS"]))
    target = arguments.cache or cache_folder() / f"libtorch-{VERSION}-{kind}"
    try:
        if arguments.fetch:
            print(fetch_all(arguments.fetch, selected(json.loads(WHEELS.read_text()), kind)))
            return 0
        folder = provide(target, os.environ, kind, not arguments.runtime, arguments.check, offline or None)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"export LIBTORCH={folder}" if arguments.print_env else folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
