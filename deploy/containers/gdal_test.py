#!/usr/bin/env python3
"""Lets the image eosfed-client-gdal say what it reads, and read two small data sets. `make container-test` calls this
where GDAL_PROGRAMS_DIR names programs with the feature `gdal`. ENGINE is podman with its options.

The data sets are made here of a few bytes: images of netCDF in a folder for each class, and images of ENVI with the
polygons of a GeoPackage as labels. Their reference systems need the tables of PROJ.
"""

import functools
import json
import os
import random
import shlex
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

# The file beside this one.
from test import LIMITS, Failed

IMAGE = "eosfed-client-gdal"
SIDE = 64
CORNER = (500_000, 4_600_000)
PIXEL = 10
DRAWN = random.Random(7)


def numbers(order, count=SIDE * SIDE):
    return struct.pack(f"{order}{count}h", *(DRAWN.randrange(1, 4000) for _ in range(count)))


def netcdf(path):
    """An image of netCDF classic: two dimensions, and one variable of 16-bit numbers."""
    header = b"CDF\x01" + struct.pack(">I", 0)
    header += struct.pack(">II", 10, 2)
    for name in (b"y", b"x"):
        header += struct.pack(">I4sI", 1, name, SIDE)
    header += struct.pack(">II", 0, 0)
    header += struct.pack(">II", 11, 1) + struct.pack(">I4s", 3, b"red") + struct.pack(">III", 2, 0, 1)
    header += struct.pack(">II", 0, 0) + struct.pack(">II", 3, 2 * SIDE * SIDE)
    path.write_bytes(header + struct.pack(">I", len(header) + 4) + numbers(">"))


def envi(path, east):
    """An image of ENVI, so many metres east of the corner, in UTM zone 33 north."""
    path.write_bytes(numbers("<"))
    place = f"UTM, 1, 1, {CORNER[0] + east}, {CORNER[1]}, {PIXEL}, {PIXEL}, 33, North, WGS-84, units=Meters"
    system = (
        'PROJCS["WGS_1984_UTM_Zone_33N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,'
        '298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
        'PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",15.0],'
        'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
    )
    path.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = {SIDE}\nlines = {SIDE}\nbands = 1\nheader offset = 0\nfile type = ENVI Standard\n"
        f"data type = 2\ninterleave = bsq\nbyte order = 0\nmap info = {{{place}}}\n"
        f"coordinate system string = {{{system}}}\n"
    )


def geopackage(path, boxes):
    """A GeoPackage with a rectangle for each value and its edges."""
    file = sqlite3.connect(path)
    file.executescript("""
        PRAGMA application_id = 0x47504B47;
        PRAGMA user_version = 10200;
        CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
            organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
        INSERT INTO gpkg_spatial_ref_sys VALUES ('UTM 33N', 32633, 'EPSG', 32633, 'undefined', NULL);
        CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
            description TEXT, last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
            srs_id INTEGER);
        INSERT INTO gpkg_contents VALUES ('cover', 'features', 'cover', '', '2026-01-01T00:00:00.000Z', NULL, NULL, NULL,
            NULL, 32633);
        CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT NOT NULL,
            srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name));
        INSERT INTO gpkg_geometry_columns VALUES ('cover', 'geom', 'POLYGON', 32633, 0, 0);
        CREATE TABLE cover (fid INTEGER PRIMARY KEY AUTOINCREMENT, geom POLYGON, cover TEXT);
    """)
    for value, (west, south, east, north) in boxes:
        ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        polygon = struct.pack("<BIII", 1, 3, 1, len(ring)) + b"".join(struct.pack("<2d", *point) for point in ring)
        geometry = b"GP\x00\x01" + struct.pack("<i", 32633) + polygon
        file.execute("INSERT INTO cover (geom, cover) VALUES (?, ?)", (geometry, value))
    file.commit()
    file.close()


def make(folder):
    """Writes the data sets."""
    pixels, polygons = folder / "pixels", folder / "polygons"
    for name in "ab":
        (pixels / name).mkdir(parents=True)
        for number in range(4):
            netcdf(pixels / name / f"{number}.nc")
    (pixels / "dataset.toml").write_text(
        'task = "classification"\nbands = ["red"]\nclasses = ["a", "b"]\n[layout]\nkind = "folders"\nroot = "."\n'
    )
    polygons.mkdir()
    width = SIDE * PIXEL
    boxes = []
    for number in range(3):
        envi(polygons / f"{number}.img", number * width)
        west, north = CORNER[0] + number * width, CORNER[1]
        boxes += [
            ("water", (west, north - width, west + width / 2, north)),
            ("forest", (west + width / 2, north - width, west + width, north)),
        ]
    geopackage(polygons / "cover.gpkg", boxes)
    images = ", ".join(f'"{number}.img"' for number in range(3))
    (polygons / "dataset.toml").write_text(
        'task = "segmentation"\nbands = ["red"]\nclasses = ["water", "forest"]\n[polygons]\nattribute = "cover"\n'
        f'[layout]\nkind = "scenes"\nimages = [{images}]\nmasks = ["cover.gpkg"]\ntile = 32\n'
    )
    # The user of the image reads them.
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def answer(engine, image, folder, *words):
    """What a program of the image answers in a container as restricted as those of compose.yaml, as JSON."""
    program, *rest = words
    command = [
        *engine, "run", "--rm", "--no-healthcheck", *LIMITS, "--network=none", "--read-only", "--cap-drop=all",
        "--security-opt=no-new-privileges", "--tmpfs=/tmp", f"--volume={folder}:/data:ro",
        f"--entrypoint=/usr/bin/{program}", image, *rest,
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise Failed(f"{' '.join(words)}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def check(engine, image, folder):
    ask = functools.partial(answer, engine, image, folder)
    formats = ask("eosfed-client", "data", "formats", "--output", "json")
    not_read = [kind["name"] for kind in formats["gdal"] if kind["drivers"] and not kind["read"]]
    if not_read or not formats["gdal_version"]:
        raise Failed(f"the image does not read {not_read}, with GDAL {formats['gdal_version']}")
    kinds = sum(kind["read"] for kind in formats["gdal"])
    print(f"the image reads {kinds} more kinds of files through GDAL {formats['gdal_version']}")
    for name, wanted in (("pixels", 8), ("polygons", 12)):
        summary = ask("eosfed-client", "data", "inspect", f"/data/{name}", "--output", "json")
        samples = sum(summary["samples"].values())
        if samples != wanted or summary["unreadable"]:
            raise Failed(f"of {name} it reads {samples} samples, and should {wanted}: {summary['unreadable']}")
        scores = ask("eosfed-trainer", "baseline", "--data", f"/data/{name}", "--format", "json")
        if not scores:
            raise Failed(f"of {name} the trainer has no scores")
        print(f"  {name}: {samples} samples, and scores of the trainer")


def main():
    engine = shlex.split(os.environ["ENGINE"])
    version = next(line for line in Path("Cargo.toml").read_text().splitlines() if line.startswith("version"))
    image = f"localhost/{IMAGE}:" + version.split('"')[1]
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        try:
            check(engine, image, folder)
        except Failed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
