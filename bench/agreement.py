#!/usr/bin/env python3
"""Files of every kind that the reader takes, made and read by GDAL, beside our reader: all pixels must be equal.

    PYTHON bench/agreement.py --reading target/release/examples/reading

Made are GeoTIFFs of every compression, type, predictor, number of bits, interleaving, byte order and shape of strips
and tiles that GDAL writes, also sparse ones, ones with a mask and ones that are cut off at the edge of a tile.
Compared is each pixel, and whether it is missing. JPEG of YCbCr is compared with Pillow's libtiff and libjpeg-turbo,
which give what Debian's GDAL gives; the GDAL inside rasterio's wheel has another libjpeg, which gives other colours.
PYTHON has rasterio, Pillow and numpy, as that of `make interop`.
"""

import argparse
import collections
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import rasterio
from PIL import Image

warnings.filterwarnings("ignore")

SHAPES = [{}, {"blockysize": 7}, {"tiled": True, "blockxsize": 16, "blockysize": 32}]
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
SIZE = (45, 37)


def pixels(generator: numpy.random.Generator, dtype: str, bands: int, bits: int | None = None) -> numpy.ndarray:
    """Slow change and some noise, over the whole range that 32-bit floats hold exactly."""
    shape = (bands, *SIZE)
    slow = numpy.indices(shape).sum(axis=0)
    if dtype.startswith("float"):
        return (numpy.sin(slow / 7) * 1e3 + generator.normal(size=shape)).astype("float32").astype(dtype)
    if bits:
        return ((slow * 3 + generator.integers(0, 5, shape)) % (1 << bits)).astype(dtype)
    limits = numpy.iinfo(dtype)
    low, high = max(limits.min, -(1 << 24)), min(limits.max, 1 << 24)
    return (low + (slow * 1009 + generator.integers(0, 9, shape)) % (high - low)).astype(dtype)


def cases(generator: numpy.random.Generator):
    """Options of GDAL, and the pixels."""
    kinds = [("NONE", 1), ("PACKBITS", 1), *itertools.product(["LZW", "DEFLATE", "ZSTD", "LZMA"], [1, 2, 3])]
    kinds += [(f"LERC{more}", 1) for more in ["", "_DEFLATE", "_ZSTD"]]
    for (compress, predictor), dtype, bands, shape, interleave, endian in itertools.product(
            kinds, TYPES, [1, 3, 5], SHAPES, ["pixel", "band"], ["LITTLE", "BIG"]):
        if (predictor == 3 and not dtype.startswith("float")) or (bands == 1 and interleave == "band"):
            continue
        if compress.startswith("LERC") and dtype.endswith("int64"):
            continue
        options = {"compress": compress, "interleave": interleave, "endianness": endian} | shape
        if predictor > 1:
            options["predictor"] = predictor
        yield options, pixels(generator, dtype, bands)
    for bits, shape, compress, bands, interleave in itertools.product(
            range(1, 17), SHAPES, ["NONE", "DEFLATE", "LZW"], [1, 3], ["pixel", "band"]):
        dtype = "uint8" if bits <= 8 else "uint16"
        yield {"nbits": bits, "compress": compress, "interleave": interleave} | shape, pixels(generator, dtype, bands, bits)
    for shape in SHAPES:
        for compress in ["CCITTRLE", "CCITTFAX3", "CCITTFAX4"]:
            yield {"nbits": 1, "compress": compress} | shape, pixels(generator, "uint8", 1, 1)
        yield {"nbits": 16, "compress": "DEFLATE"} | shape, pixels(generator, "float32", 1).astype("float16").astype("float32")
        yield {"photometric": "MINISWHITE"} | shape, pixels(generator, "uint8", 1)
        yield {"BIGTIFF": "YES"} | shape, pixels(generator, "uint16", 2)
    for shape, photometric, bands in itertools.product(SHAPES, ["RGB", "YCBCR", "MINISBLACK"], [1, 3, 4]):
        if photometric == "MINISBLACK" or bands == 3 or (photometric == "RGB" and bands == 4):
            aligned = {key: side // 8 * 8 + 8 if key == "blockysize" and "tiled" not in shape else side
                       for key, side in shape.items()}
            smooth = numpy.stack([numpy.indices(SIZE).sum(axis=0) * (band + 1) for band in range(bands)]).astype("uint8")
            yield {"compress": "JPEG", "photometric": photometric} | aligned, smooth // 2
    for bands, quality in itertools.product([3, 4], [{"webp_lossless": "YES"}, {"webp_level": 30}, {"webp_level": 90}]):
        yield {"compress": "WEBP", "tiled": True, "blockxsize": 16, "blockysize": 16} | quality, \
            pixels(generator, "uint8", bands)


def write(path: pathlib.Path, options: dict, data: numpy.ndarray, nodata=None, hide=None) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
            path, "w", driver="GTiff", count=len(data), height=SIZE[0], width=SIZE[1], dtype=data.dtype,
            nodata=nodata, **options) as file:
        file.write(data)
        if hide is not None:
            file.write_mask(hide)


def write_sparse(path: pathlib.Path, options: dict, data: numpy.ndarray, nodata) -> None:
    with rasterio.open(path, "w", driver="GTiff", count=len(data), height=SIZE[0], width=SIZE[1], dtype=data.dtype,
                       nodata=nodata, sparse_ok=True, tiled=True, blockxsize=16, blockysize=16, **options) as file:
        file.write(data[:, :16, :16], window=((0, 16), (0, 16)))


def make(folder: pathlib.Path) -> list[pathlib.Path]:
    generator = numpy.random.default_rng(5)
    files = []

    def new() -> pathlib.Path:
        files.append(folder / f"{len(files):05}.tif")
        return files[-1]

    refused = collections.Counter()
    for at, (options, data) in enumerate(cases(generator)):
        nodata = [None, data.flat[3].item(), None][at % 3]
        path = new()
        try:
            write(path, options, data, nodata)
            with rasterio.open(path) as file:
                file.read()
        except Exception as error:  # GDAL does not write every combination
            refused[str(error).split(":")[0][:60]] += 1
            files.pop()
            path.unlink(missing_ok=True)
    for compress, dtype, nodata in itertools.product(
            ["NONE", "DEFLATE", "LZW", "ZSTD", "PACKBITS"], ["uint8", "int16", "float32"], [None, 9, 0, 300, -7]):
        try:
            write_sparse(new(), {"compress": compress}, pixels(generator, dtype, 2), nodata)
        except Exception:
            files.pop()
    hide = (numpy.indices(SIZE).sum(axis=0) % 3 > 0).astype("uint8") * 255
    for shape, compress in itertools.product(SHAPES, ["NONE", "DEFLATE", "LZW"]):
        write(new(), {"compress": compress} | shape, pixels(generator, "uint16", 3), hide=hide)
    for reason, count in refused.items():
        print(f"GDAL does not write {count} combinations: {reason}")
    return files


def expected(path: pathlib.Path) -> numpy.ndarray:
    with rasterio.open(path) as file:
        if file.photometric is not None and file.photometric.name == "ycbcr":
            return numpy.asarray(Image.open(path).convert("RGB"), dtype="float64").transpose(2, 0, 1)
        # To our reader, opacity is a band like any other.
        opacity = rasterio.enums.MaskFlags.alpha in file.mask_flag_enums[0]
        data = numpy.ma.array(file.read()) if opacity else file.read(masked=True)
    return numpy.where(numpy.ma.getmaskarray(data), numpy.nan, data.filled(0).astype("float64"))


def describe(path: pathlib.Path) -> str:
    with rasterio.open(path) as file:
        return f"{file.profile} {file.tags(ns='IMAGE_STRUCTURE')}"


def compare(reading: pathlib.Path, files: list[pathlib.Path], out: pathlib.Path) -> collections.Counter:
    names = "".join(f"{path}\n" for path in files)
    done = subprocess.run([reading, "pixels", out], input=names, text=True, capture_output=True, check=True)
    counts: collections.Counter = collections.Counter()
    for path, line in zip(files, done.stdout.splitlines(), strict=True):
        row = json.loads(line)
        wanted = expected(path)
        if "error" in row:
            counts["refused"] += 1
            print(f"refused: {row['error']}\n    {describe(path)}")
            continue
        found = numpy.fromfile(row["pixels"], dtype="<f4").reshape(row["shape"]).astype("float64")
        same = found.shape == wanted.shape and numpy.array_equal(numpy.isnan(found), numpy.isnan(wanted)) and \
            numpy.nanmax(numpy.abs(found - wanted), initial=0) == 0
        counts["equal" if same else "DIFFERENT"] += 1
        if not same:
            print(f"DIFFERENT: {path}\n    {describe(path)}\n    {found.ravel()[:8]} {wanted.ravel()[:8]}")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reading", type=pathlib.Path, required=True, help="the example `reading` of eosfed-data")
    parser.add_argument("--folder", type=pathlib.Path, help="keeps the files here")
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="other files instead of the made ones")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or pathlib.Path(name)
        out = folder / "pixels"
        out.mkdir(parents=True, exist_ok=True)
        files = asked.files or make(folder)
        counts = compare(asked.reading.resolve(), files, out)
    print(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}: {len(files)} files: {dict(counts)}")
    sys.exit(1 if counts["DIFFERENT"] else 0)


if __name__ == "__main__":
    main()
