#!/usr/bin/env python3
"""Validates STAC Items of specialists and releases, offline.

    pip install stac-model "pystac[validation]"
    python3 deploy/check_stac.py ensemble/stac-item.json ensemble/*/stac-item.json

Checked are STAC 1.1's own JSON schema (carried by pystac) and the fields of the Machine Learning Model extension with
the models of its authors (stac-model). Beyond that: each input's bands are described by an asset, each shape has as
many entries as its order of dimensions, and each checksum is a multihash that fits the file when it is there.
"""

import hashlib
import json
import pathlib
import sys

import pystac
from pystac.validation.local_validator import LocalValidator
from stac_model.schema import MLModelProperties


def problems(path: pathlib.Path) -> list[str]:
    raw = json.loads(path.read_text())
    found = [f"STAC 1.1: {error.json_path}: {error.message}" for error in LocalValidator().item_validator(raw["stac_version"]).iter_errors(raw)]
    try:
        pystac.Item.from_dict(raw)
        model = MLModelProperties(**raw["properties"])
    except Exception as error:  # pydantic's and pystac's own types; all are findings here
        return [*found, f"MLM: {error}"]
    described = {band["name"] for asset in raw["assets"].values() for band in asset.get("bands", [])}
    for entry in model.input:
        found += [f"input {entry.name}: band {band} is described by no asset" for band in entry.bands if band not in described]
        if entry.value_scaling and len(entry.value_scaling) not in (1, len(entry.bands)):
            found.append(f"input {entry.name}: {len(entry.value_scaling)} scalings for {len(entry.bands)} bands")
    found += [f"output {entry.name}: shape and dim_order differ in length" for entry in model.output if len(entry.result.shape) != len(entry.result.dim_order)]
    models = [asset for asset in raw["assets"].values() if "mlm:model" in asset.get("roles", [])]
    if not models:
        found.append("MLM: no asset has the role mlm:model")
    for asset in models:
        file, checksum = path.parent / asset["href"], asset["file:checksum"]
        if "mlm:artifact_type" not in asset:
            found.append(f"asset {asset['href']}: mlm:artifact_type is missing")
        if not checksum.startswith("1220") or len(checksum) != 68:
            found.append(f"asset {asset['href']}: file:checksum must be a SHA-256 multihash, found {checksum}")
        elif file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() != checksum[4:]:
            found.append(f"asset {asset['href']}: file:checksum is not the file's")
    return found


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    wrong = 0
    for name in sys.argv[1:]:
        found = problems(pathlib.Path(name))
        wrong += bool(found)
        print(f"{name}: {'valid' if not found else 'not valid'}")
        for problem in found:
            print(f"  - {problem}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
