"""What the rows of ensembles measure on: a release of specialists with random weights, labelled tiles, and a scene.
Every number follows from a seed."""

import hashlib
import json
import pathlib

import numpy as np
import rasterio
import timm
import torch
from rasterio.transform import from_origin
from safetensors.torch import save_file

BACKBONE = "convnextv2_atto"
BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
CLASSES = ["water", "forest", "field", "built"]
#: Side of a labelled tile and of a window, and the pixels that windows share.
SIDE, OVERLAP = 224, 32
MEAN, DEVIATION = 0.2, 0.1
#: Side of a block of the scene's file.
BLOCK = 512


def encoder(seed: int) -> torch.nn.Module:
    """timm's model of a specialist. GRN starts at zero, so it gets random values."""
    torch.manual_seed(seed)
    model = timm.create_model(BACKBONE, in_chans=len(BANDS), num_classes=len(CLASSES), pretrained=False).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if ".grn." in name:
                tensor.copy_(0.3 * torch.randn_like(tensor))
    return model


def card(folder: pathlib.Path, name: str) -> dict:
    """The card of a specialist whose weights are in `folder`."""
    weights = folder / name / "weights.safetensors"
    return {
        "name": name, "version": 1, "weights": "sha256:" + hashlib.sha256(weights.read_bytes()).hexdigest(),
        "weights_bytes": weights.stat().st_size,
        "model": {"backbone": BACKBONE, "task": "classification", "bands": BANDS, "classes": CLASSES},
        "normalisation": [{"band": band, "mean": MEAN, "std": DEVIATION} for band in BANDS], "input_size": None,
        "provenance": {"job": "j-00000000", "mode": "one-shot", "institutions": [], "rounds": 0, "samples": 1,
                       "seed": 1, "frozen_at": 0},
        "metrics": {}, "energy": {"kwh": 0.0, "source": "unavailable"}, "licence": "none",
    }


def release(folder: pathlib.Path, specialists: int) -> pathlib.Path:
    """A release of this many specialists, as `eosfed release pull` writes one."""
    cards = []
    for at in range(specialists):
        name = f"specialist-{at}"
        (folder / name).mkdir(parents=True)
        state = {key: value.contiguous() for key, value in encoder(at).state_dict().items()}
        save_file(state, folder / name / "weights.safetensors")
        cards.append(card(folder, name))
        (folder / name / "card.json").write_text(json.dumps(cards[-1]))
    manifest = {"number": 1, "created_at": 0, "note": "", "specialists": cards}
    (folder / "release.json").write_text(json.dumps(manifest))
    return folder


def block(random: np.random.Generator, side: int) -> np.ndarray:
    """Digital numbers `[bands, side, side]` of 16 bits."""
    coarse = random.uniform(500, 4000, size=(len(BANDS), side // 8, side // 8))
    noise = random.integers(0, 64, size=(len(BANDS), side, side))
    return (coarse.repeat(8, 1).repeat(8, 2) + noise).astype(np.uint16)


def write(path: pathlib.Path, image: np.ndarray, **options: object) -> None:
    transform = from_origin(500_000, 4_000_000, 10, 10)
    bands, height, width = image.shape
    with rasterio.open(path, "w", driver="GTiff", width=width, height=height, count=bands, dtype=image.dtype,
                       crs="EPSG:32632", transform=transform, **options) as file:
        file.write(image)


def labelled(folder: pathlib.Path, count: int) -> pathlib.Path:
    """Tiles with masks: the class is the quarter of the values of one band."""
    random = np.random.default_rng(7)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for at in range(count):
        image = block(random, SIDE)
        write(folder / "images" / f"{at}.tif", image)
        write(folder / "masks" / f"{at}.tif", np.clip(image[3:4] // 1000, 0, 3).astype(np.uint8))
    quoted = lambda names: json.dumps(list(names))  # noqa: E731
    (folder / "dataset.toml").write_text(
        f'task = "segmentation"\nbands = {quoted(BANDS)}\nclasses = {quoted(CLASSES)}\nscale = 0.0001\n'
        'mask_values = [0, 1, 2, 3]\n[layout]\nkind = "pairs"\nimages = "images"\nmasks = "masks"\n'
        "[split]\nvalidation = 0.0\ntest = 0.0\n"
    )
    return folder


def scene(path: pathlib.Path, side: int) -> pathlib.Path:
    """A scene of `side` by `side` pixels in compressed blocks, as archives have them. Written row by row."""
    random = np.random.default_rng(11)
    blocks = [block(random, BLOCK) for _ in range(8)]
    transform = from_origin(500_000, 4_000_000, 10, 10)
    with rasterio.open(path, "w", driver="GTiff", width=side, height=side, count=len(BANDS), dtype="uint16",
                       crs="EPSG:32632", transform=transform, tiled=True, blockxsize=BLOCK, blockysize=BLOCK,
                       interleave="pixel", compress="deflate", zlevel=1, predictor=2, bigtiff="IF_SAFER") as file:
        for top in range(0, side, BLOCK):
            for left in range(0, side, BLOCK):
                height, width = min(BLOCK, side - top), min(BLOCK, side - left)
                part = blocks[int(random.integers(len(blocks)))][:, :height, :width]
                file.write(part, window=rasterio.windows.Window(left, top, width, height))
    return path
