"""Heads: what a release answers with a head that ``eosfed-trainer fit`` or a job has trained, for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .card import Card, ReleaseError, read_json
from .ensemble import Ensemble, open_release, opened_encoders
from .specialist import read_tensors

DENSE = ("segmentation", "change_detection", "regression")
TASKS = ("classification", "multilabel", *DENSE)
METHODS = ("fusion", "mean_logits", "router")
POOL_SCALES = (1, 2, 3, 6)
GROUP = 4


class _Tensors(nn.Module):
    """Frozen tensors by the names that they have in a file."""

    def __init__(self, tensors: Mapping[str, Tensor], where: str) -> None:
        super().__init__()
        self.where = where
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def get(self, name: str) -> Tensor:
        tensor = getattr(self, name.replace(".", "_"), None)
        if not isinstance(tensor, Tensor):
            raise ReleaseError(f"{self.where}: the tensor `{name}` is missing")
        return tensor


class Classifier(_Tensors):
    """timm's ``NormMlpClassifierHead`` without its hidden layer: ``[N, classes]`` from the last map."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        pooled = maps[3].mean((2, 3))
        weight, bias = self.get("head.norm.weight"), self.get("head.norm.bias")
        normal = functional.layer_norm(pooled, weight.shape, weight, bias, 1e-6)
        return functional.linear(normal, self.get("head.fc.weight"), self.get("head.fc.bias"))


class UperNet(_Tensors):
    """UPerNet with group normalisation: ``[N, classes, H/4, W/4]`` from all four maps."""

    def conv(self, x: Tensor, name: str) -> Tensor:
        weight = self.get(f"decoder.{name}.conv.weight")
        y = functional.conv2d(x, weight, padding=weight.shape[2] // 2)
        scale, shift = self.get(f"decoder.{name}.norm.weight"), self.get(f"decoder.{name}.norm.bias")
        return functional.relu(functional.group_norm(y, len(scale) // GROUP, scale, shift))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = [self.conv(maps[level], f"lateral.{level}") for level in range(3)]
        parts = [maps[3]]
        for at, scale in enumerate(POOL_SCALES):
            parts.append(_resized(self.conv(_pooled(maps[3], scale), f"ppm.{at}"), maps[3]))
        levels.append(self.conv(torch.cat(parts, 1), "bottleneck"))
        for level in (2, 1, 0):
            levels[level] = levels[level] + _resized(levels[level + 1], levels[level])
        for level in range(3):
            levels[level] = self.conv(levels[level], f"fpn.{level}")
        fused = self.conv(torch.cat([_resized(level, levels[0]) for level in levels], 1), "fuse")
        return functional.conv2d(fused, self.get("decoder.classify.weight"), self.get("decoder.classify.bias"))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    if x.shape[2:] == like.shape[2:]:
        return x
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def _pooled(x: Tensor, side: int) -> Tensor:
    """``adaptive_avg_pool2d`` as two matrix products, which ONNX has for every size."""

    def means(length: int) -> Tensor:
        rows = torch.zeros(side, length)
        for at in range(side):
            start, end = at * length // side, -(-(at + 1) * length // side)
            rows[at, start:end] = 1.0 / (end - start)
        return rows.to(x)

    return means(int(x.shape[2])) @ x @ means(int(x.shape[3])).T


def task_head(task: str, tensors: Mapping[str, Tensor], where: str) -> Classifier | UperNet:
    """The head for a task over its tensors (``head.*`` or ``decoder.*``)."""
    prefix, kind = ("decoder.", UperNet) if task in DENSE else ("head.", Classifier)
    return kind({name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}, where)


@dataclass(frozen=True)
class Target:
    """Offset and scale of a regression's outputs: a value is ``output * scale + offset``, in ``unit``."""

    offset: float = 0.0
    scale: float = 1.0
    unit: str = ""

    @classmethod
    def parse(cls, raw: Mapping[str, Any] | None) -> Target:
        return cls() if raw is None else cls(float(raw["offset"]), float(raw["scale"]), str(raw.get("unit", "")))


class HeadModel(nn.Module):
    """A trained head over the frozen specialists of a release.

    ``forward(images, bands)`` takes images as :class:`eosfed.Ensemble` does and gives the head's outputs: ``[N, classes]``,
    or ``[N, classes, H/4, W/4]`` for tasks of pixels. ``answer`` gives probabilities or values at the images' size.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        head: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        whole: Sequence[tuple[nn.Module, float, float]],
        where: str,
    ) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.task, self.method = str(head["task"]), str(head.get("method", "fusion"))
        self.classes = [str(name) for name in head["classes"]]
        self.target = Target.parse(head.get("target"))
        self.own = nn.ModuleList(module for module, _, _ in whole)
        self.to_scale = [(factor, summand) for _, factor, summand in whole]
        self.head = task_head(self.task, tensors, where) if self.method == "fusion" else None
        self.router = _Tensors({k: v for k, v in tensors.items() if k.startswith("router.")}, where)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> HeadModel:
        """Changes nothing: all parameters are frozen."""
        return super().train(False)

    def forward(self, images: Tensor, bands: Sequence[str]) -> Tensor:
        if self.head is not None:
            return self.head(self.ensemble(images, bands))  # type: ignore[no-any-return]
        each = [
            own(maps) * factor + summand
            for own, maps, (factor, summand) in zip(
                self.own, self.ensemble.encoder_maps(images, bands), self.to_scale, strict=True
            )
        ]
        if self.method == "mean_logits":
            return torch.stack(each).mean(0)
        last = torch.cat(each, 1).movedim(1, -1)
        gates = functional.linear(last, self.router.get("router.weight"), self.router.get("router.bias"))
        gates = gates.softmax(-1).movedim(-1, 1)
        return torch.stack([output * gates[:, at : at + 1] for at, output in enumerate(each)]).sum(0)

    def answer(self, images: Tensor, bands: Sequence[str]) -> Tensor:
        """Probabilities of the classes (of each label, for several labels), or values in the target's unit. For tasks of
        pixels, of each pixel: ``[N, classes, H, W]``, or ``[N, 1, H, W]`` for values."""
        outputs: Tensor = self(images, bands)
        if self.task in DENSE:
            outputs = functional.interpolate(outputs, size=images.shape[-2:], mode="bilinear", align_corners=False)
        if self.task == "regression":
            return outputs * self.target.scale + self.target.offset
        return outputs.sigmoid() if self.task == "multilabel" else outputs.softmax(1)


def read_head(folder: Path) -> tuple[Path, dict[str, Any]]:
    """``head.json`` in ``folder``, checked as far as this package needs it."""
    path = folder / "head.json"
    raw = read_json(path)
    try:
        task, method = str(raw["task"]), str(raw.get("method", "fusion"))
        if task not in TASKS or method not in METHODS:
            raise ReleaseError(f"{path}: a task and a method of this version are needed, found `{task}` and `{method}`")
        Target.parse(raw.get("target"))
        if not raw["encoders"] or not raw["classes"]:
            raise ReleaseError(f"{path}: a head has encoders and classes, found none")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ReleaseError):
            raise
        raise ReleaseError(f"{path}: not a head: {error!r}") from error
    return path, raw


def open_head(head: str | Path, release: str | Path | None = None, *, verify: bool = True) -> HeadModel:
    """Opens the head in the folder ``head``, for any task and method, over the release in the folder ``release``, or over
    the one that it was trained with."""
    folder = Path(head)
    path, raw = read_head(folder)
    if release is None:
        trained_with = str(raw.get("release_folder", ""))
        if not trained_with:
            raise ReleaseError(
                f"{path}: the head was trained in rounds; fetch its release with `eosfed release pull {raw.get('release')}` "
                "and give its folder"
            )
        release = folder / trained_with  # Earlier versions wrote an absolute path, which stays as it is.
    weights = folder / "head.safetensors"
    tensors = read_tensors(weights)
    if raw.get("method", "fusion") == "fusion":
        return HeadModel(open_release(release, head=head, verify=verify), raw, tensors, [], str(weights))
    ensemble = opened_encoders(Path(release), raw, path, verify)
    target = Target.parse(raw.get("target"))
    whole = [
        _own_head(card, encoder, raw, target, path)
        for card, encoder in zip(ensemble.specialists, ensemble.encoders, strict=True)
    ]
    return HeadModel(ensemble, raw, tensors, whole, str(weights))


def _own_head(
    card: Card | None, encoder: nn.Module, head: Mapping[str, Any], target: Target, path: Path
) -> tuple[nn.Module, float, float]:
    """A specialist's own head, and what converts its outputs to the scale of ``target``."""
    if card is None or card.task != head["task"] or list(card.classes) != list(head["classes"]):
        name = "an encoder" if card is None else f"`{card.name}`"
        raise ReleaseError(
            f"{path}: outputs are combined only of specialists for the task and classes of the head; {name} is for others"
        )
    own = Target.parse(card.raw["model"].get("target"))
    tensors: Mapping[str, Tensor] = encoder.tensors  # type: ignore[assignment]
    module = task_head(card.task, tensors, card.name)
    return module, own.scale / target.scale, (own.offset - target.offset) / target.scale
