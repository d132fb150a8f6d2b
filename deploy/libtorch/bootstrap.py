#!/usr/bin/env python3
"""Installs the libtorch that the trainer links: prints the folder to set LIBTORCH to.

The libraries come out of the torch wheel that pip's index offers, pinned by hash. That wheel is the
CUDA build, which runs without a GPU too; beside itself it then needs two small CUDA libraries, which
are pinned as well. An existing LIBTORCH is respected. The folder lies in the user's cache, so that
all checkouts share it, and a second run returns at once.
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
LIBRARIES = [
    "libc10.so", "libtorch_cpu.so", "libtorch.so", "libshm.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13",
]
NEEDED_BYTES = 2_200_000_000
WHEELS = Path(__file__).resolve().parent / "wheels.json"


def problem(folder):
    """Why `folder` is not the libtorch that the trainer needs; None if it is."""
    version = folder / "build-version"
    if not (folder / "lib" / "libtorch_cpu.so").exists():
        return f"{folder}/lib/libtorch_cpu.so is missing"
    if not (folder / "include").is_dir():
        return f"{folder}/include is missing"
    found = version.read_text().strip() if version.exists() else "no build-version file"
    if not found.startswith(VERSION):
        return f"{folder} holds libtorch `{found}`, the trainer needs `{VERSION}`"
    return None


def is_complete(folder):
    """Whether an earlier run has finished. The version file is written last."""
    return problem(folder) is None and all((folder / "lib" / name).exists() for name in LIBRARIES)


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


def install(folder, wheels):
    """Makes `folder`; leaves nothing half done under its name."""
    downloads = folder.parent / "wheels"
    downloads.mkdir(parents=True, exist_ok=True)
    need_space(folder.parent, NEEDED_BYTES)
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for wheel in wheels:
        path = wheel_file(wheel, downloads)
        print(f"unpacking {wheel['name']} {wheel['version']} ...", file=sys.stderr)
        extract(wheel, path, fresh)
    (fresh / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")
    (fresh / "build-version").write_text(f"{VERSION}\n")
    if not is_complete(fresh):
        missing = [name for name in LIBRARIES if not (fresh / "lib" / name).exists()]
        raise FetchError(f"the wheels do not hold {', '.join(missing)}; {WHEELS} needs mending")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    shutil.rmtree(downloads, ignore_errors=True)


def provide(folder, environment, wheels, check=False):
    """The folder of a usable libtorch; installs one if `check` is not set."""
    given = environment.get("LIBTORCH")
    if given:
        wrong = problem(Path(given))
        if wrong:
            raise FetchError(f"LIBTORCH is set, but {wrong}; unset it to have libtorch installed")
        return Path(given)
    if is_complete(folder):
        return folder
    if check:
        raise FetchError(f"libtorch is not installed in {folder}; install it with: make libtorch")
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        raise FetchError(
            f"there is no pinned libtorch for {platform.system()} on {platform.machine()}; "
            f"install libtorch {VERSION} yourself and set LIBTORCH to it"
        )
    with locked(folder.parent):
        if not is_complete(folder):
            install(folder, wheels)
    return folder


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=cache_folder() / f"libtorch-{VERSION}-cpu",
                        help="where to install it (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="only say whether it is there")
    parser.add_argument("--print-env", action="store_true", help="print a line for the shell instead of the folder")
    arguments = parser.parse_args()
    try:
        wheels = json.loads(WHEELS.read_text())["cpu"]
        folder = provide(arguments.cache, os.environ, wheels, arguments.check)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"export LIBTORCH={folder}" if arguments.print_env else folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
