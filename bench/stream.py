#!/usr/bin/env python3
"""Train on more data than memory holds, and say how much memory the trainer has used.

A data set of many patches is made of a few real files with many names (hard links), so that it takes little
room on the disk but is read like one of its full size. The trainer is the real program; its memory is its own
high-water mark (VmHWM of /proc/PID/status), which the kernel keeps.

    bench/stream.py --trainer target/release/eosfed-trainer --gigabytes 100 --most-gib 2

With --scene, it is one scene of 10,980 by 10,980 pixels (3.1 GB), of which windows are read. Its file has a few
tiles, and its directory names them again and again.
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib

BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
CLASSES = ["field", "forest"]
FILES_OF_A_CLASS = 32
LINKS_OF_A_FILE = 30_000
# A tile of Sentinel-2 at 10 m, in tiles as its files have them.
SCENE = 10_980
TILE = 512
DIFFERENT_TILES = 8


def noise(side: int, seed: int) -> bytes:
    """16-bit pixels of 13 bands, interleaved."""
    draw = random.Random(seed)
    row = [draw.randrange(200, 4000) for _ in range(side * len(BANDS))]
    return b"".join(struct.pack(f"<{len(row)}H", *row[at:], *row[:at]) for at in range(side))


def tiled(path: pathlib.Path, side: int, bands: int, bits: int, tiles: list[bytes]) -> None:
    """Writes a square image whose tiles, compressed, are these, one after another and again from the first."""
    offset, places, body = 8, [], b""
    for tile in map(zlib.compress, tiles):
        places.append((offset, len(tile)))
        body += tile
        offset += len(tile)
    across = -(-side // TILE)
    shown = [places[at % len(places)] for at in range(across**2)]
    lists = {
        258: struct.pack(f"<{bands}H", *[bits] * bands), 338: struct.pack(f"<{bands - 1}H", *[0] * (bands - 1)),
        324: struct.pack(f"<{across**2}I", *[start for start, _ in shown]),
        325: struct.pack(f"<{across**2}I", *[length for _, length in shown]),
    }  # fmt: skip
    at = {}
    for tag, values in lists.items():
        at[tag] = offset
        body += values
        offset += len(values)
    tags = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, bands, at[258] if bands > 2 else bits), (259, 3, 1, 8),
        (262, 3, 1, 1), (277, 3, 1, bands), (284, 3, 1, 1), (322, 4, 1, TILE), (323, 4, 1, TILE),
        (324, 4, across**2, at[324]), (325, 4, across**2, at[325]),
        *([(338, 3, bands - 1, at[338])] if bands > 3 else []),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    path.write_bytes(struct.pack("<2sHI", b"II", 42, offset) + body + directory)


def make_scene(folder: pathlib.Path, tile: int) -> tuple[int, int]:
    """One scene with its mask, cut into tiles; returns the bytes of its pixels and the number of tiles."""
    tiled(folder / "scene.tif", SCENE, len(BANDS), 16, [noise(TILE, seed) for seed in range(DIFFERENT_TILES)])
    half = TILE**2 // 2
    tiled(folder / "mask.tif", SCENE, 1, 8, [bytes(half) + b"\1" * half, b"\1" * half + bytes(half)])
    describe(folder, "segmentation", f'kind = "scenes"\nimages = ["scene.tif"]\nmasks = ["mask.tif"]\ntile = {tile}')
    return SCENE**2 * len(BANDS) * 2, (SCENE // tile) ** 2


def describe(folder: pathlib.Path, kind: str, layout: str) -> None:
    bands = ", ".join(f'"{band}"' for band in BANDS)
    classes = ", ".join(f'"{name}"' for name in CLASSES)
    (folder / "dataset.toml").write_text(
        f'task = "{kind}"\nbands = [{bands}]\nclasses = [{classes}]\nscale = 0.0001\n'
        f"[layout]\n{layout}\n[split]\nvalidation = 0.0\ntest = 0.0\n"
    )


def tiff(path: pathlib.Path, side: int, seed: int, deflate: bool) -> int:
    """Writes 16-bit pixels of 13 bands, interleaved, in one strip; returns the bytes of its pixels."""
    pixels = noise(side, seed)
    strip = zlib.compress(pixels, 1) if deflate else pixels
    count = len(BANDS)
    lists = {258: struct.pack(f"<{count}H", *[16] * count), 338: struct.pack(f"<{count - 1}H", *[0] * (count - 1))}
    offset = 8 + len(strip) + len(strip) % 2
    places = {}
    body = strip + b"\0" * (len(strip) % 2)
    for tag, values in lists.items():
        places[tag] = offset
        body += values
        offset += len(values)
    tags = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, count, places[258]), (259, 3, 1, 8 if deflate else 1),
        (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, count), (278, 4, 1, side), (279, 4, 1, len(strip)),
        (284, 3, 1, 1), (338, 3, count - 1, places[338]),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    path.write_bytes(struct.pack("<2sHI", b"II", 42, offset) + body + directory)
    return len(pixels)


def make(folder: pathlib.Path, side: int, patches: int, deflate: bool) -> int:
    """A data set of classes in folders; returns the bytes of its pixels."""
    total = 0
    each = patches // len(CLASSES)
    for number, name in enumerate(CLASSES):
        (folder / "patches" / name).mkdir(parents=True)
        (folder / "real").mkdir(exist_ok=True)
        real = []
        for seed in range(min(FILES_OF_A_CLASS, each)):
            path = folder / "real" / f"{name}-{seed}.tif"
            size = tiff(path, side, number * 1000 + seed, deflate)
            real.append(path)
        if each > LINKS_OF_A_FILE * len(real):
            sys.exit(f"a class may have {LINKS_OF_A_FILE * len(real)} patches, found {each}; use a larger --side")
        for at in range(each):
            (folder / "patches" / name / f"{at:07}.tif").hardlink_to(real[at % len(real)])
        total += each * size
    describe(folder, "classification", 'kind = "folders"\nroot = "patches"')
    return total


def task(folder: pathlib.Path, options: argparse.Namespace, output: pathlib.Path) -> pathlib.Path:
    training = {
        "epochs": options.epochs, "batch_size": options.batch, "learning_rate": 1e-3,
        "augment": ["flip", "rotate90"],
    }  # fmt: skip
    if options.crop:
        training["crop"] = options.crop
    model = {"backbone": "convnextv2_atto", "task": "segmentation" if options.scene else "classification", "bands": BANDS, "classes": CLASSES}
    document = {
        "training_target": {"specialist": model}, "training": training, "dataset": str(folder),
        "initial": {"seed": 1}, "normalisation": None, "seed": 1, "schedule": [0.0, 1.0], "keep": "last",
        "device": options.device, "threads": options.threads, "output": str(output),
    }  # fmt: skip
    if options.cache_gib:
        document["samples"] = {"folder": str(folder / "cache"), "bytes": int(options.cache_gib * 2**30)}
    path = output / "task.json"
    path.write_text(json.dumps(document))
    return path


def high_water_mark(process: int) -> int:
    """Bytes."""
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def run(trainer: str, path: pathlib.Path) -> dict:
    """Runs a task to its end."""
    begun = time.monotonic()
    child = subprocess.Popen([trainer, "train", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    most, found = 0, {}
    for line in child.stdout:
        event = json.loads(line)
        most = max(most, high_water_mark(child.pid))
        kind = event.pop("event")
        if kind in ("started", "spent", "failed"):
            found[kind] = event
    if child.wait() != 0:
        sys.exit(f"the trainer has failed: {found.get('failed')}")
    return {
        "seconds": round(time.monotonic() - begun, 1), "most_memory_mib": most >> 20,
        "samples": found["started"]["training_samples"], "steps": found["started"]["steps"],
        "spent": found.get("spent"),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", required=True, help="the program eosfed-trainer")
    parser.add_argument("--scene", action="store_true", help="one large scene instead of patches")
    parser.add_argument("--gigabytes", type=float, default=100, help="pixels of the data set, in GB")
    parser.add_argument("--side", type=int, default=256, help="side of a patch in pixels")
    parser.add_argument("--crop", type=int, default=32, help="side of the random crop; 0: whole patches")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--deflate", action="store_true", help="compress the patches")
    parser.add_argument("--cache-gib", type=float, default=1, help="most decoded samples that are kept")
    parser.add_argument("--rounds", type=int, default=1, help="runs, one after another, on the same data")
    parser.add_argument("--most-gib", type=float, help="fail if the trainer has used more memory")
    parser.add_argument("--folder", help="where the data set is made; default: a temporary folder")
    options = parser.parse_args()
    patches = int(options.gigabytes * 1e9 / (options.side**2 * len(BANDS) * 2)) // 2 * 2
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = pathlib.Path(name)
        if options.scene:
            size, patches = make_scene(folder, options.side)
        else:
            size = make(folder, options.side, max(patches, 4), options.deflate)
        print(json.dumps({"pixels_gb": round(size / 1e9, 2), "patches": patches, "side": options.side}), flush=True)
        most = 0
        for number in range(options.rounds):
            output = folder / f"round-{number}"
            output.mkdir()
            result = run(options.trainer, task(folder, options, output))
            most = max(most, result["most_memory_mib"])
            print(json.dumps(result), flush=True)
    if options.most_gib and most > options.most_gib * 1024:
        sys.exit(f"the trainer may use {options.most_gib} GiB, found {most / 1024:.2f}")


if __name__ == "__main__":
    main()
