#!/usr/bin/env python3
"""Divides a EuroSAT folder (one folder a class, 13-band GeoTIFFs) among institutions, as links.

Each class is spread unevenly, so that the institutions' data are not alike; a labelled part and a
test part go to nobody. The division follows from the files' names alone.
"""

import hashlib
import sys
from pathlib import Path

INSTITUTIONS = ("west", "centre", "east")
MOST = 240  # Of each class: enough for a demonstration of a quarter of an hour.


def parts(index, files):
    """Where each file of class number `index` goes."""
    files = sorted(files, key=lambda file: hashlib.sha256(file.name.encode()).hexdigest())[:MOST]
    label, test = max(2, len(files) * 15 // 100), max(3, len(files) * 25 // 100)
    for file in files[:label]:
        yield "label", file
    for file in files[label:label + test]:
        yield "test", file
    favourite = INSTITUTIONS[index % 3]
    turns = [favourite, favourite, *INSTITUTIONS]
    for turn, file in enumerate(files[label + test:]):
        yield turns[turn % len(turns)], file


def main():
    """divide.py EUROSAT TARGET"""
    source, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    if len(classes) != 10:
        sys.exit(f"error: {source} has {len(classes)} folders, EuroSAT has one for each of its 10 classes")
    for index, folder in enumerate(classes):
        files = list(folder.glob("*.tif"))
        if len(files) < 10:
            sys.exit(f"error: {folder} has {len(files)} GeoTIFFs, at least 10 are needed")
        for part, file in parts(index, files):
            place = target / part / folder.name
            place.mkdir(parents=True, exist_ok=True)
            (place / file.name).symlink_to(file)


if __name__ == "__main__":
    main()
