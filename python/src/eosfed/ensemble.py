"""A release, with or without a trained head, as a module that gives four maps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import bands as naming
from .card import Card, ReleaseError, normalisation, read_json, read_manifest
from .compose import Composer
from .imagery import Imagery
from .specialist import Specialist, read_tensors


class Ensemble(nn.Module):
    """Frozen specialists whose maps are normalised and concatenated, or fused as a head has learned.

    ``forward(images, bands)`` takes images ``[N, B, H, W]`` in the data's own units, NaN where there is no data, with the
    names of their bands, and returns four maps of strides 4, 8, 16 and 32. Height and width are multiples of 32.

    Under a head for two dates (``dates`` is 2) images are ``[N, 2, B, H, W]``, the earlier date first. Each date is fused
    by itself, and the maps of the later one follow those of the earlier one along the channels.

    ``imagery`` says what a head learned from: the size of its tiles and their ground sampling distance. Images of another
    size than the head saw are a warning with the ratio, because a head does not recognise things at another scale.
    """

    strides = (4, 8, 16, 32)

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        cards: Sequence[Card | None],
        names: Sequence[str],
        normalisations: Sequence[Sequence[Any]],
        sources: Sequence[Sequence[Sequence[str]]] | None,
        composer: Composer,
        dates: int = 1,
        imagery: Imagery | None = None,
    ) -> None:
        super().__init__()
        self.dates = dates
        self.imagery = imagery
        self.encoders = nn.ModuleList(encoders)
        self.specialists = list(cards)
        self.names = list(names)
        self.normalisations = [list(entries) for entries in normalisations]
        self.sources = sources
        self.composer = composer
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Ensemble:
        """Changes nothing: all parameters are frozen."""
        return super().train(False)

    @property
    def out_channels(self) -> list[int]:
        """Channels of the four maps."""
        bands = sorted({band for sources in self.needs() for source in sources for band in source})
        with torch.no_grad():
            return [self.dates * map.shape[1] for map in self.each(torch.zeros(1, len(bands), 32, 32), bands)]

    def needs(self) -> list[list[list[str]]]:
        """For each encoder and each of its inputs, the bands of an image that it is computed from."""
        if self.sources is not None:
            return [[list(bands) for bands in encoder] for encoder in self.sources]
        return [[[entry.band] for entry in entries] for entries in self.normalisations]

    def selection(self) -> dict[str, float]:
        """The factor of each encoder's maps by name. An encoder with several inputs has a number in its name."""
        weights = self.composer.gates(len(self.names)).tolist()
        unique = [name if self.names.count(name) == 1 else f"{name}:{at}" for at, name in enumerate(self.names)]
        return dict(zip(unique, weights, strict=True))

    def encoder_input(self, at: int, images: Tensor, bands: Sequence[str]) -> Tensor:
        """The input of encoder ``at`` from ``images``: its bands, normalised, 0 where there is no data."""
        entries = self.normalisations[at]
        wanted = (
            self.sources[at]
            if self.sources is not None
            else naming.sources(self.names[at], [e.band for e in entries], bands)
        )
        channels = [images[:, where].mean(1) for where in naming.positions(wanted, bands)]
        mean, std = (
            torch.tensor([getattr(e, k) for e in entries], dtype=images.dtype, device=images.device)
            for k in ("mean", "std")
        )
        normal = (torch.stack(channels, 1) - mean[:, None, None]) / std[:, None, None]
        return torch.nan_to_num(normal, nan=0.0, posinf=0.0, neginf=0.0)

    def checked(self, images: Tensor, bands: Sequence[str]) -> Tensor:
        """Images of one date each, ``[N * dates, B, H, W]``, after the checks of their shape."""
        inner = [self.dates, len(bands)] if self.dates > 1 else [len(bands)]
        if images.dim() != len(inner) + 3 or list(images.shape[1:-2]) != inner:
            raise ReleaseError(
                f"images must be [N, {', '.join(map(str, inner))}, H, W] for the bands {', '.join(bands)}"
                f"{' at two dates' if self.dates > 1 else ''}, found {list(images.shape)}"
            )
        if images.shape[-2] % 32 or images.shape[-1] % 32:
            raise ReleaseError(f"height and width must be multiples of 32, found {images.shape[-2]}x{images.shape[-1]}")
        unlike = self.imagery and self.imagery.difference(int(images.shape[-2]), int(images.shape[-1]))
        if unlike:
            warnings.warn(unlike, stacklevel=2)
        return images.flatten(0, 1) if self.dates > 1 else images

    def joined(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The channels of all dates, one after the other."""
        if self.dates == 1:
            return list(maps)
        return [map.reshape(-1, self.dates * map.shape[1], *map.shape[2:]) for map in maps]

    def forward(self, images: Tensor, bands: Sequence[str]) -> list[Tensor]:
        return self.joined(self.each(self.checked(images, bands), bands))

    def encoder_maps(self, images: Tensor, bands: Sequence[str]) -> list[list[Tensor]]:
        """The four maps of each encoder, before they are fused."""
        single = self.checked(images, bands)
        return [
            self.joined(list(encoder(self.encoder_input(at, single, bands))))
            for at, encoder in enumerate(self.encoders)
        ]

    def each(self, images: Tensor, bands: Sequence[str]) -> list[Tensor]:
        """The four maps of images of one date, ``[N, B, H, W]``. Encoders that a hard selection has not chosen are not
        computed: their maps count nothing, so zeros take their place."""
        chosen = self.composer.chosen(len(self.encoders))
        maps = []
        for at, encoder in enumerate(self.encoders):
            if at in chosen or not isinstance(encoder, Specialist):
                maps.append(list(encoder(self.encoder_input(at, images, bands))))
            else:
                height, width = images.shape[-2:]
                sizes = zip(encoder.channels, self.strides, strict=True)
                maps.append([images.new_zeros(images.shape[0], c, height // s, width // s) for c, s in sizes])
        fused: list[Tensor] = self.composer(maps)
        return fused


def open_release(
    path: str | Path, *, specialists: Sequence[str] | None = None, head: str | Path | None = None, verify: bool = True
) -> Ensemble:
    """Opens the release in the folder ``path``.

    Without ``head``, the maps of all (or the named) specialists are normalised at each position and concatenated. With the
    folder of a head that ``eosfed-trainer fit`` has trained, they are selected and fused as the head learned. ``verify``
    checks every file against its digest. Raises :class:`eosfed.ReleaseError`.
    """
    folder = Path(path)
    _, cards = read_manifest(folder)
    if head is not None:
        return _with_head(folder, Path(head), verify)
    chosen = cards if specialists is None else [_named(cards, name, folder) for name in specialists]
    if not chosen:
        raise ReleaseError(f"{folder / 'release.json'}: the release has no specialists")
    opened = [Specialist.open(folder, card, verify) for card in chosen]
    composer = Composer({}, {}, str(folder))
    return Ensemble(opened, chosen, [c.name for c in chosen], [c.normalisation for c in chosen], None, composer)


def _named(cards: Sequence[Card], name: str, folder: Path) -> Card:
    found = next((card for card in cards if card.name == name), None)
    if found is None:
        there = ", ".join(card.name for card in cards)
        raise ReleaseError(f"{folder / 'release.json'}: there is no specialist `{name}`; there are {there}")
    return found


def _with_head(folder: Path, head: Path, verify: bool) -> Ensemble:
    path = head / "head.json"
    raw = read_json(path)
    if raw.get("method", "fusion") != "fusion":
        raise ReleaseError(
            f"{path}: only a head of method `fusion` has maps, found `{raw['method']}`; `eosfed.open_head` opens its answers"
        )
    weights = head / "head.safetensors"
    return opened_encoders(folder, raw, path, verify, Composer(raw["composition"], read_tensors(weights), str(weights)))


def opened_encoders(
    folder: Path, raw: dict[str, Any], path: Path, verify: bool, composer: Composer | None = None
) -> Ensemble:
    """The specialists under the head ``raw``, which was read from ``path``."""
    _, cards = read_manifest(folder)
    opened: list[nn.Module] = []
    used: list[Card | None] = []
    for entry in raw["encoders"]:
        if entry.get("weights") is None:
            raise ReleaseError(f"{path}: an encoder from a random seed cannot be made here, found `{entry['name']}`")
        card = next((c for c in cards if c.name == entry["name"] and c.digest == entry["weights"]), None)
        if card is None:
            raise ReleaseError(
                f"{path}: the head needs `{entry['name']}` with {entry['weights']}, which this release does not have"
            )
        opened.append(Specialist.open(folder, card, verify))
        used.append(card)
    return Ensemble(
        opened,
        used,
        [str(entry["name"]) for entry in raw["encoders"]],
        [[normalisation(band) for band in entry["normalisation"]] for entry in raw["encoders"]],
        [entry["sources"] for entry in raw["encoders"]],
        composer or Composer({}, {}, str(path)),
        dates=2 if raw["task"] == "change_detection" else 1,
        imagery=Imagery.parse(raw, path),
    )
