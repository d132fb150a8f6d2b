#!/usr/bin/env python3
"""The row "reading" of `make bench`: GeoTIFF tiles and windows, beside rasterio.

Made imagery: tiles of 64 x 64 pixels with 13 bands of 16 bits, as EuroSAT has them, and one cloud-optimised
GeoTIFF with three bands, tiles of 512 pixels, DEFLATE and a predictor. Both readers take turns over the same
files and windows; they must find the same sum of all pixels. Compared is processor time, the median of the
rounds. rasterio gives 16-bit numbers, our reader 32-bit floating-point numbers with missing values marked.

    PYTHON bench/reading.py --reading target/release/examples/reading

PYTHON has rasterio and numpy, as that of `make interop`.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import tempfile
import time

import numpy
import rasterio
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.transform import from_origin

from document import Targets, circumstances, median_ratio, publish, spread, table
from train_steps import measure

PROFILE = {"driver": "GTiff", "dtype": "uint16", "crs": "EPSG:32632"}
BLOCK = 512
# How many times as much processor time rasterio takes at least: for a tile, for a window.
LEAST = [3.0, 1.0]


def texture(generator: numpy.random.Generator, bands: int, side: int) -> numpy.ndarray:
    """Pixels that compress about as well as reflectance does: slow change and a little noise."""
    coarse = generator.integers(500, 3500, (bands, side // 8 + 2, side // 8 + 2))
    smooth = numpy.kron(coarse, numpy.ones((1, 8, 8), dtype=numpy.int64))[:, :side, :side]
    return (smooth + generator.integers(0, 120, smooth.shape)).astype("uint16")


def make_tiles(folder: pathlib.Path, count: int) -> None:
    generator = numpy.random.default_rng(1)
    profile = PROFILE | {"width": 64, "height": 64, "count": 13, "transform": from_origin(5e5, 5e6, 10, 10)}
    for number in range(count):
        with rasterio.open(folder / f"{number:05}.tif", "w", **profile) as out:
            out.write(texture(generator, 13, 64))


def make_scene(path: pathlib.Path, side: int) -> None:
    generator = numpy.random.default_rng(2)
    profile = PROFILE | {"width": side, "height": side, "count": 3, "transform": from_origin(5e5, 5e6, 10, 10),
                         "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel"}
    with MemoryFile() as memory:
        with memory.open(**profile) as scene:
            for left in range(0, side, BLOCK):
                for top in range(0, side, BLOCK):
                    width, height = min(BLOCK, side - left), min(BLOCK, side - top)
                    pixels = texture(generator, 3, BLOCK)[:, :height, :width]
                    scene.write(pixels, window=((top, top + height), (left, left + width)))
        with memory.open() as scene:
            copy(scene, path, driver="COG", compress="DEFLATE", predictor="YES", blocksize=BLOCK, overviews="NONE")


def total(pixels: numpy.ndarray) -> int:
    return int(pixels.sum(dtype=numpy.int64))


def tiles_by_rasterio(folder: pathlib.Path) -> tuple[int, int]:
    files = sorted(folder.glob("*.tif"))
    found = 0
    for file in files:
        with rasterio.open(file) as image:
            found += total(image.read())
    return len(files), found


def windows_by_rasterio(file: pathlib.Path, side: int, corners: list[tuple[int, int]]) -> tuple[int, int]:
    found = 0
    with rasterio.open(file) as image:
        for left, top in corners:
            found += total(image.read(window=((top, top + side), (left, left + side))))
    return len(corners), found


def rasterio_row(seconds: float, once) -> dict:
    """As the example `reading` measures."""
    count, found = once()
    processor, start, done = time.process_time(), time.perf_counter(), 0
    while done == 0 or time.perf_counter() - start < seconds:
        done += once()[0]
    return {"reader": "rasterio", "processor_us": (time.process_time() - processor) * 1e6 / done,
            "wall_us": (time.perf_counter() - start) * 1e6 / done, "count": count, "sum": found}


def compare(name: str, rounds: int, ours: list, theirs) -> dict:
    rows: dict[str, list[float]] = {}
    for _ in range(rounds):
        pair = [measure(ours), theirs()]
        if pair[0]["sum"] != pair[1]["sum"]:
            sys.exit(f"error: {name}: the sums of all pixels are {pair[0]['sum']} and {pair[1]['sum']}")
        for row in pair:
            rows.setdefault(row["reader"], []).append(row["processor_us"])
    print(f"{name}: {rows}", file=sys.stderr, flush=True)
    return {"what": name, "processor_us": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reading", type=pathlib.Path, required=True, help="the example `reading` of eosfed-data")
    parser.add_argument("--tiles", type=int, default=500)
    parser.add_argument("--side", type=int, default=10_000, help="side of the large scene in pixels")
    parser.add_argument("--window", type=int, default=256, help="side of a window in pixels")
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="shortest time of each measurement")
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-reading`")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tiles, scene, list_of_corners = folder / "tiles", folder / "scene.tif", folder / "corners"
        tiles.mkdir()
        make_tiles(tiles, asked.tiles)
        make_scene(scene, asked.side)
        choose = random.Random(3)
        most = asked.side - asked.window
        corners = [(choose.randint(0, most), choose.randint(0, most)) for _ in range(asked.windows)]
        list_of_corners.write_text("".join(f"{left} {top}\n" for left, top in corners))
        seconds = asked.seconds
        rows = [
            compare("a tile of 64x64x13, uint16", asked.rounds, [asked.reading, "tiles", tiles, seconds],
                    lambda: rasterio_row(seconds, lambda: tiles_by_rasterio(tiles))),
            compare(f"a window of {asked.window} of a COG of {asked.side}x{asked.side}x3, DEFLATE", asked.rounds,
                    [asked.reading, "windows", scene, asked.window, list_of_corners, seconds],
                    lambda: rasterio_row(seconds, lambda: windows_by_rasterio(scene, asked.window, corners))),
        ]
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    targets, lines = Targets(), []
    for row, least in zip(rows, LEAST):
        own, other = row["processor_us"]["eosfed"], row["processor_us"]["rasterio"]
        ratio = median_ratio(other, own)
        lines.append([row["what"], spread(own, 0), spread(other, 0), f"{ratio:.2f}"])
        targets.at_least(f"{row['what']}: rasterio to ours", ratio, least)
    text = (f"{circumstances(load)} rasterio {rasterio.__version__} with GDAL {rasterio.__gdal_version__}: processor time of one "
            f"in µs, median of {asked.rounds} rounds in turn, with the least and the most.\n\n"
            + table(["", "our reader", "rasterio", "times"], lines))
    publish(asked.document, "bench-reading", text, targets)


if __name__ == "__main__":
    main()
