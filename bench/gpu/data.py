"""Synthetic multispectral tiles: every number follows from a seed."""

import pathlib

import numpy as np
import tifffile

BANDS = ["blue", "green", "red", "nir", "swir16", "swir22"]
CLASSES = ["water", "forest", "field", "built"]
SIDE = 64
# Mean reflectance times 10,000 of each class in each band, and the noise around it.
SPECTRA = np.array([
    [900, 800, 500, 300, 200, 150],
    [300, 500, 350, 2800, 1400, 700],
    [700, 1000, 1100, 2600, 2500, 1700],
    [1300, 1500, 1700, 2100, 2400, 2200],
])
NOISE = 900.0


def smooth(random: np.random.Generator, side: int, cells: int) -> np.ndarray:
    """A field of blobs: bilinear between random values on a coarse grid."""
    grid = random.normal(size=(cells + 1, cells + 1))
    at = np.linspace(0, cells, side, endpoint=False)
    low, part = at.astype(int), at - at.astype(int)
    rows = grid[low] * (1 - part)[:, None] + grid[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def tile(random: np.random.Generator, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """An image `[side, side, bands]` of 16-bit numbers and its mask."""
    mask = np.argmax([smooth(random, side, 4 * side // SIDE) for _ in CLASSES], axis=0)
    light = 1 + 0.1 * smooth(random, side, 2)[..., None]
    image = SPECTRA[mask] * light + random.normal(scale=NOISE, size=(side, side, len(BANDS)))
    return np.clip(image, 0, 65535).astype(np.uint16), mask.astype(np.uint8)


def write(path: pathlib.Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    planar = {"planarconfig": "contig"} if image.ndim == 3 else {}
    tifffile.imwrite(path, image, photometric="minisblack", **planar)


def toml(folder: pathlib.Path, task: str, layout: str) -> pathlib.Path:
    quoted = lambda names: "[" + ", ".join(f'"{name}"' for name in names) + "]"  # noqa: E731
    masks = "mask_values = [0, 1, 2, 3]\n" if task == "segmentation" else ""
    path = folder / "dataset.toml"
    path.write_text(
        f'task = "{task}"\nbands = {quoted(BANDS)}\nclasses = {quoted(CLASSES)}\nscale = 0.0001\n{masks}'
        f"[layout]\n{layout}\n[split]\nvalidation = 0.2\ntest = 0.1\nseed = 1\n"
    )
    return path


def make(folder: pathlib.Path, count: int, seed: int) -> dict[str, pathlib.Path]:
    """A data set of masks, one of classes (the commonest of a tile), and a scene of 512 by 512 pixels."""
    random = np.random.default_rng(seed)
    dense, whole = folder / "segmentation", folder / "classification"
    for at in range(count):
        image, mask = tile(random)
        write(dense / "images" / f"{at:04}.tif", image)
        write(dense / "masks" / f"{at:04}.tif", mask)
        commonest = int(np.bincount(mask.ravel(), minlength=len(CLASSES)).argmax())
        write(whole / "tiles" / CLASSES[commonest] / f"{at:04}.tif", image)
    scene, truth = tile(random, 512)
    write(folder / "scene.tif", scene)
    write(folder / "truth.tif", truth)
    return {
        "segmentation": toml(dense, "segmentation", 'kind = "pairs"\nimages = "images"\nmasks = "masks"'),
        "classification": toml(whole, "classification", 'kind = "folders"\nroot = "tiles"'),
        "scene": folder / "scene.tif",
    }
