"""ONNX: a release or a head as one file that other runtimes open, with normalisation and decoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .card import ReleaseError
from .ensemble import Ensemble, open_release
from .heads import DENSE, HeadModel, open_head

OPSET = 20
#: Sides of images in pixels.
SMALLEST, LARGEST = 32, 4096


class _Maps(nn.Module):
    def __init__(self, ensemble: Ensemble, bands: Sequence[str]) -> None:
        super().__init__()
        self.ensemble, self.bands = ensemble, list(bands)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.ensemble(images, self.bands))


class _Answer(nn.Module):
    def __init__(self, model: HeadModel, bands: Sequence[str]) -> None:
        super().__init__()
        self.model, self.bands = model, list(bands)

    def forward(self, images: Tensor) -> Tensor:
        return self.model.answer(images, self.bands)


def needed_bands(ensemble: Ensemble) -> list[str]:
    """The bands that an ensemble needs, in the order of their first use."""
    return list(dict.fromkeys(band for encoder in ensemble.needs() for sources in encoder for band in sources))


def export_onnx(
    source: str | Path,
    output: str | Path,
    *,
    release: str | Path | None = None,
    size: int | Sequence[int] | None = None,
    verify: bool = True,
) -> dict[str, Any]:
    """Writes the release or the head in the folder ``source`` as ONNX, and returns what the file says of itself.

    ``release`` is the release under a head, by default the one that it was trained with. The file's input ``images`` is
    ``[N, bands, H, W]`` (``[N, 2, bands, H, W]`` for two dates) in the data's own units, NaN where there is no data; N is
    free, H and W are ``size``, by default what the head learned from. For a head the output ``answer`` is what
    :meth:`HeadModel.answer` gives; for a release, the outputs ``map_0`` to ``map_3`` are the four maps. The names of the
    bands, in order, and of the classes are in the file's metadata.
    """
    try:
        import onnx
    except ImportError as error:
        raise ReleaseError("ONNX is not installed; install it with: pip install 'eosfed[onnx]'") from error
    model: nn.Module
    answers = open_head(source, release, verify=verify) if (Path(source) / "head.json").exists() else None
    ensemble = answers.ensemble if answers else open_release(source, verify=verify)
    bands = needed_bands(ensemble)
    height, width = _size(size, ensemble, output)
    names = ["answer"] if answers else [f"map_{level}" for level in range(4)]
    model = _Answer(answers, bands) if answers else _Maps(ensemble, bands)
    shape = [2, ensemble.dates, len(bands), height, width] if ensemble.dates > 1 else [2, len(bands), height, width]
    program = torch.onnx.export(
        model.eval(),
        (torch.zeros(shape),),
        dynamo=True,
        input_names=["images"],
        output_names=names,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
        opset_version=OPSET,
        verbose=False,
    )
    if program is None:
        raise ReleaseError(f"{output}: the exporter gave nothing")
    said: dict[str, Any] = {"bands": bands, "size": [height, width], "outputs": names}
    if answers:
        said |= {"task": answers.task, "classes": answers.classes, "unit": answers.target.unit}
        said["of_each"] = "pixel" if answers.task in DENSE else "image"
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {key: json.dumps(value) for key, value in said.items()})
    onnx.checker.check_model(proto)
    onnx.save(proto, str(output))
    return said


def _size(size: int | Sequence[int] | None, ensemble: Ensemble, output: str | Path) -> tuple[int, int]:
    """Height and width of the images."""
    chosen = [size, size] if isinstance(size, int) else list(size or ())
    if not chosen and ensemble.imagery is not None:
        chosen = list(ensemble.imagery.seen_size() or ())
    if len(chosen) != 2 or any(side % 32 or not SMALLEST <= side <= LARGEST for side in chosen):
        raise ReleaseError(
            f"{output}: the size of images must be one or two multiples of 32 between {SMALLEST} and {LARGEST}, found {chosen}"
        )
    return chosen[0], chosen[1]
