"""Bands by name: maps the bands of an image to the inputs of an encoder. Positions alone never decide."""

from __future__ import annotations

from collections.abc import Sequence

from .card import ReleaseError

#: STAC common names of Sentinel-2's bands. All other bands have their common name already.
COMMON = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge071", "B06": "rededge075",
    "B07": "rededge078", "B08": "nir", "B8A": "nir08", "B09": "nir09", "B10": "cirrus", "B11": "swir16", "B12": "swir22",
}  # fmt: skip


def sources(specialist: str, wanted: Sequence[str], there: Sequence[str]) -> list[list[str]]:
    """For each wanted band the band of the image of the same name, else of the same common name."""
    by_common = {COMMON.get(band, band): band for band in reversed(there)}
    found = []
    for band in wanted:
        if band in there:
            found.append([band])
        elif COMMON.get(band, band) in by_common:
            found.append([by_common[COMMON.get(band, band)]])
        else:
            raise ReleaseError(
                f"{specialist}: there is no band for `{band}` among {', '.join(there)}; name other specialists"
            )
    return found


def positions(wanted: Sequence[Sequence[str]], there: Sequence[str]) -> list[list[int]]:
    """Positions of the named bands in the image."""
    missing = sorted({band for bands in wanted for band in bands} - set(there))
    if missing:
        what = "band" if len(missing) == 1 else "bands"
        raise ReleaseError(f"the image must have the {what} {', '.join(missing)}, found {', '.join(there)}")
    return [[list(there).index(band) for band in bands] for bands in wanted]
