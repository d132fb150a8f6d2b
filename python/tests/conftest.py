"""A small release with random weights, made with timm itself."""

import hashlib
import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

torch.set_num_threads(1)  # tests are small, and machines are shared
BACKBONE = "convnextv2_atto"


def plain_model(bands: int, classes: int, seed: int) -> torch.nn.Module:
    """timm's plain model. GRN starts at zero, which would hide errors, so it gets random values."""
    torch.manual_seed(seed)
    model = timm.create_model(BACKBONE, in_chans=bands, num_classes=classes, pretrained=False).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if ".grn." in name:
                tensor.copy_(0.3 * torch.randn_like(tensor))
    return model


def make_release(folder: Path, mean: float = 0.2, std: float = 0.5) -> Path:
    """A release of two specialists; the normalisation of their bands differs by a fifth of a deviation."""
    cards = []
    for seed, (name, bands) in enumerate({"green-nir": ["green", "nir"], "only-red": ["red"]}.items()):
        place = folder / name
        place.mkdir(parents=True)
        weights = place / "weights.safetensors"
        state = {key: value.contiguous() for key, value in plain_model(len(bands), 2, seed).state_dict().items()}
        save_file(state, weights)
        cards.append(
            {
                "name": name,
                "version": 1,
                "weights": "sha256:" + hashlib.sha256(weights.read_bytes()).hexdigest(),
                "weights_bytes": weights.stat().st_size,
                "model": {"backbone": BACKBONE, "task": "classification", "bands": bands, "classes": ["a", "b"]},
                "normalisation": [
                    {"band": band, "mean": mean + 0.2 * at * std, "std": std} for at, band in enumerate(bands)
                ],
                "input_size": None,
                "provenance": {
                    "job": "j-00000000",
                    "mode": "one-shot",
                    "institutions": ["west"],
                    "rounds": 0,
                    "samples": 3,
                    "seed": 1,
                    "frozen_at": 0,
                },
                "metrics": {"accuracy": 0.5},
                "energy": {"kwh": 0.0, "source": "unavailable"},
                "licence": "CC0-1.0",
            }
        )
        (place / "card.json").write_text(json.dumps(cards[-1]))
    (folder / "release.json").write_text(
        json.dumps({"number": 1, "created_at": 0, "note": "test", "specialists": cards})
    )
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release")
