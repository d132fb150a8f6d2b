"""Makes resize.json: images at other sizes, by PyTorch, with its filter against aliasing and without.

Run with `make goldens`, which installs torch and timm into a throw-away environment.
"""

import json
import pathlib

import torch
import torch.nn.functional as functional

HERE = pathlib.Path(__file__).parent
SHAPE = (1, 2, 20, 28)
# Smaller in both directions, smaller in one, larger, and of the same size.
SIZES = [(8, 12), (5, 40), (24, 32), (20, 28)]


def numbers(tensor: torch.Tensor) -> list[float]:
    """As few digits as 32-bit floats need."""
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def main() -> None:
    images = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4))
    cases = []
    for size in SIZES:
        for antialias in (False, True):
            made = functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=antialias)
            cases.append({"size": size, "antialias": antialias, "images": numbers(made)})
    found = {"shape": SHAPE, "images": numbers(images), "cases": cases}
    (HERE / "resize.json").write_text(json.dumps(found) + "\n")
    print(f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
