"""Makes the goldens of polygons: `polygons.geojson` in metres and `polygons-degrees.geojson` in degrees, and the mask that
GDAL's gdal_rasterize fills from the first.

    python3 polygons.py          # needs gdal_rasterize, gdal_translate and ogr2ogr; made with GDAL 3.6.2
"""

import json
import math
import pathlib
import random
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
WEST, NORTH, PIXEL = 500_000.0, 4_600_000.0, 10.0
WIDTH, HEIGHT = 90, 70
VALUES = ["water", "forest", "built-up"]
draw = random.Random(7)


def star(middle, reach, points):
    """A closed ring around a point, which winds and may cross itself."""
    angles = sorted(draw.uniform(0.0, 2.0 * math.pi) for _ in range(points))
    if draw.random() < 0.3:
        draw.shuffle(angles)
    ring = []
    for angle in angles:
        length = reach * draw.uniform(0.3, 1.0)
        ring.append([round(middle[0] + length * math.cos(angle), 3), round(middle[1] + length * math.sin(angle), 3)])
    return ring + ring[:1]


def polygon():
    middle = [WEST + draw.uniform(-50, WIDTH * PIXEL + 50), NORTH - draw.uniform(-50, HEIGHT * PIXEL + 50)]
    reach = draw.choice([15.0, 60.0, 150.0])
    rings = [star(middle, reach, draw.randint(3, 12))]
    if draw.random() < 0.5:
        rings.append(star(middle, reach * 0.4, draw.randint(3, 8)))
    return rings


def square(column, row, side):
    """Edges on borders of pixels."""
    west, north = WEST + column * PIXEL, NORTH - row * PIXEL
    east, south = west + side * PIXEL, north - side * PIXEL
    return [[[west, north], [west, south], [east, south], [east, north], [west, north]]]


def features():
    for at in range(60):
        many = draw.random() < 0.3
        geometry = {
            "type": "MultiPolygon" if many else "Polygon",
            "coordinates": [polygon() for _ in range(3)] if many else polygon(),
        }
        yield at % 3, geometry
    for at in range(4):
        yield at % 3, {"type": "Polygon", "coordinates": square(5 + 4 * at, 9, 4)}
    overlapping = [square(40, 30, 10)[0], square(45, 35, 10)[0]]
    yield 1, {"type": "MultiPolygon", "coordinates": [[ring] for ring in overlapping]}


def main():
    collection = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}},
        "features": [
            {"type": "Feature", "properties": {"cover": VALUES[value], "number": value}, "geometry": geometry}
            for value, geometry in features()
        ],
    }
    metres = HERE / "polygons.geojson"
    metres.write_text(json.dumps(collection, separators=(",", ":")) + "\n")
    degrees = HERE / "polygons-degrees.geojson"
    degrees.unlink(missing_ok=True)
    run("ogr2ogr", "-t_srs", "EPSG:4326", "-lco", "RFC7946=NO", "-lco", "COORDINATE_PRECISION=10", degrees, metres)
    with tempfile.TemporaryDirectory() as folder:
        mask = pathlib.Path(folder) / "mask.tif"
        extent = [WEST, NORTH - HEIGHT * PIXEL, WEST + WIDTH * PIXEL, NORTH]
        run("gdal_rasterize", "-a", "number", "-init", "3", "-ot", "Byte", "-te", *extent, "-tr", PIXEL, PIXEL, metres, mask)
        run("gdal_translate", "-of", "PNG", mask, HERE / "polygons.png")
    (HERE / "polygons.png.aux.xml").unlink(missing_ok=True)


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
