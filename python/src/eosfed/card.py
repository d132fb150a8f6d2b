"""Manifests and cards: the description of a release."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKBONES = tuple(f"convnextv2_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "base"))


class ReleaseError(ValueError):
    """A release, a head or an image breaks a rule; the text names the file, the rule and the value."""


@dataclass(frozen=True)
class BandValues:
    """What the numbers of a band look like: of the pixels, 1 % do not exceed ``low``, and 99 % not ``high``."""

    unit: str | None
    low: float
    high: float


@dataclass(frozen=True)
class BandNormalisation:
    """The normalisation of a band: ``(value - mean) / std``. ``values`` is unknown on cards of before."""

    band: str
    mean: float
    std: float
    values: BandValues | None = None


@dataclass(frozen=True)
class Card:
    """The card of a specialist; ``raw`` is the whole record."""

    name: str
    version: int
    digest: str
    backbone: str
    task: str
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    normalisation: tuple[BandNormalisation, ...]
    licence: str
    raw: dict[str, Any]

    @classmethod
    def parse(cls, raw: dict[str, Any], path: Path) -> Card:
        """Reads a card of the manifest at ``path``."""
        try:
            model = raw["model"]
            card = cls(
                name=str(raw["name"]),
                version=int(raw["version"]),
                digest=str(raw["weights"]),
                backbone=str(model["backbone"]),
                task=str(model["task"]),
                bands=tuple(map(str, model["bands"])),
                classes=tuple(map(str, model["classes"])),
                normalisation=tuple(normalisation(entry) for entry in raw["normalisation"]),
                licence=str(raw["licence"]),
                raw=raw,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ReleaseError(f"{path}: a specialist's card is damaged: {error!r}") from error
        if card.backbone not in BACKBONES:
            raise ReleaseError(
                f"{path}: the backbone of `{card.name}` must be one of {', '.join(BACKBONES)}, found `{card.backbone}`"
            )
        if (
            not card.name
            or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in card.name)
            or card.name.startswith(".")
        ):
            raise ReleaseError(
                f"{path}: a specialist's name is letters, digits, `-`, `_` and `.`, found `{card.name!r}`"
            )
        return card


def normalisation(raw: dict[str, Any]) -> BandNormalisation:
    """Reads the entry of one band."""
    entry = BandNormalisation(str(raw["band"]), float(raw["mean"]), float(raw["std"]), values(raw.get("values")))
    if not entry.std > 0.0:
        raise ValueError(f"the standard deviation of band {entry.band} must be above 0, found {entry.std}")
    return entry


def values(raw: dict[str, Any] | None) -> BandValues | None:
    """Reads what is known of the numbers of a band."""
    if raw is None:
        return None
    unit = raw.get("unit")
    found = BandValues(None if unit is None else str(unit), float(raw["low"]), float(raw["high"]))
    if not found.low <= found.high:
        raise ValueError(f"`low` must not be above `high`, found {found.low} and {found.high}")
    return found


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}; get a release with `eosfed release pull --to DIR`") from error
    except ValueError as error:
        raise ReleaseError(f"{path}: not JSON: {error}") from error


def read_manifest(folder: Path) -> tuple[int, list[Card]]:
    """The number of the release in ``folder`` and its cards."""
    path = folder / "release.json"
    raw = read_json(path)
    try:
        return int(raw["number"]), [Card.parse(card, path) for card in raw["specialists"]]
    except (KeyError, TypeError) as error:
        raise ReleaseError(f"{path}: not a release manifest: {error!r}") from error


def check_digest(path: Path, expected: str) -> None:
    """Refuses a file whose digest is not ``expected`` (``sha256:`` and 64 hexadecimal digits)."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ReleaseError(f"{path}: {error.strerror}; the release is incomplete: pull it again") from error
    found = f"sha256:{digest.hexdigest()}"
    if found != expected:
        raise ReleaseError(f"{path}: the release says {expected}, found `{found}`; pull the release again")
