#!/usr/bin/env python3
"""Writes JPEG streams beside this file, and PNG files with what libjpeg-turbo decodes.

photo-*.jpg are files of their own; mosaic-420.tif is a GeoTIFF as aerial mosaics are. Made with Pillow 13.0.0
(libjpeg-turbo 3.2.0, and libtiff) and rasterio 1.4.4, which writes the GeoTIFF. GDAL 3.6.2 of Debian 12, which has
libjpeg-turbo too, gives the numbers that Pillow gives. The GDAL inside rasterio's wheel has another libjpeg: its colours
between pixels differ by up to 42 levels from both.
"""

import pathlib

import numpy
import rasterio
from PIL import Image

HERE = pathlib.Path(__file__).parent
# Not a multiple of the blocks' sides.
HEIGHT, WIDTH = 45, 67


def scene() -> numpy.ndarray:
    """Slopes, edges and noise in three bands of 8 bits."""
    rows, columns = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    slope = numpy.stack([3 * columns, 5 * rows, 255 - 2 * (rows + columns)], axis=-1)
    slope[10:25, 20:41] = [200, 40, 30]
    noise = numpy.random.default_rng(3).integers(-20, 21, slope.shape)
    return numpy.clip(slope + noise, 0, 255).astype("uint8")


def main() -> None:
    picture = scene()
    for name, words in {
        "420": {"subsampling": 2}, "422": {"subsampling": 1}, "444": {"subsampling": 0},
        "progressive": {"subsampling": 2, "progressive": True},
    }.items():
        path = HERE / f"photo-{name}.jpg"
        Image.fromarray(picture).save(path, quality=80, **words)
        Image.open(path).save(path.with_suffix(".png"), optimize=True)
    Image.fromarray(picture).convert("CMYK").save(HERE / "photo-cmyk.jpg", quality=80)
    Image.open(HERE / "photo-cmyk.jpg").convert("RGB").save(HERE / "photo-cmyk.png", optimize=True)
    path = HERE / "mosaic-420.tif"
    with rasterio.open(path, "w", driver="GTiff", count=3, height=HEIGHT, width=WIDTH, dtype="uint8", tiled=True,
                       blockxsize=32, blockysize=32, compress="JPEG", photometric="YCBCR", jpeg_quality=80) as file:
        file.write(picture.transpose(2, 0, 1))
    Image.open(path).convert("RGB").save(path.with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
