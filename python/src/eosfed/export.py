"""Releases for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .card import BandNormalisation, read_manifest
from .specialist import Specialist


def fold_normalisation(state: Mapping[str, Tensor], bands: Sequence[BandNormalisation]) -> dict[str, Tensor]:
    """The state of an encoder that takes images in the data's units instead of normalised ones.

    The first convolution computes ``w * (x - mean) / std + b``, which is ``(w / std) * x + (b - sum(w * mean / std))``.
    This is exact because that convolution has no padding: padded zeros would not be means. Computed in 64-bit floats.
    """
    mean, std = (torch.tensor([getattr(band, kind) for band in bands], dtype=torch.float64) for kind in ("mean", "std"))
    weight = state["stem_0.weight"].double() / std[None, :, None, None]
    bias = state["stem_0.bias"].double() - (weight * mean[None, :, None, None]).sum((1, 2, 3))
    folded = {name: tensor.clone() for name, tensor in state.items()}
    return folded | {"stem_0.weight": weight.float(), "stem_0.bias": bias.float()}


def export_eosfm(release: str | Path, output: str | Path, *, verify: bool = True) -> list[str]:
    """Writes the file that the reference implementation of EoS-FM loads, and returns the names of its encoders.

    The file is a list of ``(in_chans, state_dict, config)``, readable by ``torch.load`` with its safe defaults: plain
    containers and tensors. ``state_dict`` has the names of timm's ``features_only`` model, ``config`` has ``backbone``
    (``timm_convnextv2_atto``) and ``encoder_name``, and what the reference ignores but a person needs: the bands in
    order, and the normalisation of each band.

    The reference does not normalise its images. So the normalisation is folded into the first convolution: give it
    images in the data's own units, with the band's mean where there is no data.
    """
    folder = Path(release)
    entries: list[tuple[int, dict[str, Tensor], dict[str, Any]]] = []
    _, cards = read_manifest(folder)
    for card in cards:
        specialist = Specialist.open(folder, card, verify)
        config = {
            "backbone": f"timm_{card.backbone}",
            "encoder_name": card.name,
            "bands": list(card.bands),
            "folded_mean": [entry.mean for entry in card.normalisation],
            "folded_std": [entry.std for entry in card.normalisation],
            "licence": card.licence,
        }
        state = fold_normalisation(specialist.encoder.state_dict(), card.normalisation)
        entries.append((len(card.bands), state, config))
    torch.save(entries, output)
    return [card.name for card in cards]
