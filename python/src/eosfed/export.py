"""Releases for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .card import read_manifest
from .specialist import Specialist


def export_eosfm(release: str | Path, output: str | Path, *, verify: bool = True) -> list[str]:
    """Writes the file that the reference implementation of EoS-FM loads, and gives the names of its encoders.

    The file is a list of ``(in_chans, state_dict, config)``, readable by ``torch.load`` with its safe defaults: plain containers and
    tensors. ``state_dict`` has the names of timm's ``features_only`` model, ``config`` has ``backbone`` (``timm_convnextv2_atto``)
    and ``encoder_name``, and what the reference does not know but a person needs: bands, mean and standard deviation.
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
            "mean": [entry.mean for entry in card.normalisation],
            "std": [entry.std for entry in card.normalisation],
            "licence": card.licence,
        }
        state = {name: tensor.clone() for name, tensor in specialist.encoder.state_dict().items()}
        entries.append((len(card.bands), state, config))
    torch.save(entries, output)
    return [card.name for card in cards]
