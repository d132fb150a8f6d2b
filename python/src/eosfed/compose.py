"""Combines the maps of several encoders into four: normalises, weights by a learned selection, fuses.

The formulas are those of EoS-FM's published encoder, with two additions: the normalisation ``pixel``, and products
in which an encoder that is not chosen counts as 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .card import ReleaseError

Maps = Sequence[Tensor]
NORMS, FUSIONS = ("pixel", "layer", "batch", "none"), ("concatenate", "conv1x1", "mlp", "sum", "product")


class Composer(nn.Module):
    """Normalisation, projection, selection and fusion with the tensors of a head (``head.safetensors``)."""

    def __init__(self, composition: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> None:
        super().__init__()
        self.norm = str(composition.get("norm", "pixel"))
        self.projection = bool(composition.get("projection", False))
        self.selection: dict[str, Any] = dict(composition.get("selection", {"kind": "all"}))
        self.fusion = str(composition.get("fusion", {"kind": "concatenate"})["kind"])
        for kind, known in (
            (self.norm, NORMS),
            (self.fusion, FUSIONS),
            (self.selection["kind"], ("all", "top_k", "smooth")),
        ):
            if kind not in known:
                raise ReleaseError(f"{where}: one of {', '.join(known)} is needed, found `{kind}`")
        self.where = where
        for name, tensor in tensors.items():
            if name.startswith(("norm.", "project.", "select.", "fuse.")):
                self.register_buffer(name.replace(".", "_"), tensor)

        #: Positions of the encoders of a hard selection, strongest first; None: all count.
        self.strongest: list[int] | None = None
        if self.selection["kind"] == "top_k" and "select.weight" in tensors:
            order = torch.sort(tensors["select.weight"], descending=True, stable=True).indices
            self.strongest = [int(at) for at in order[: int(self.selection["k"])]]

    def get(self, name: str) -> Tensor:
        tensor = getattr(self, name.replace(".", "_"), None)
        if not isinstance(tensor, Tensor):
            raise ReleaseError(f"{self.where}: the tensor `{name}` is missing")
        return tensor

    def gates(self, encoders: int) -> Tensor:
        """The factor of each encoder's maps."""
        if self.selection["kind"] == "all":
            return torch.ones(encoders)
        weights = self.get("select.weight")
        if self.selection["kind"] == "smooth":
            return weights if self.selection["scale"] else weights.sigmoid()
        chosen = self.chosen(encoders)
        mask = torch.tensor([float(at in chosen) for at in range(encoders)]).to(weights)
        return mask * weights if self.selection["scale"] else mask

    def chosen(self, encoders: int) -> list[int]:
        """Positions of the encoders that count."""
        return list(range(encoders)) if self.strongest is None else self.strongest

    def normalised(self, map: Tensor, encoder: int, level: int) -> Tensor:
        if self.norm == "pixel":
            last = map.permute(0, 2, 3, 1)
            return functional.layer_norm(last, last.shape[-1:], eps=1e-6).permute(0, 3, 1, 2)
        if self.norm == "layer":
            return functional.group_norm(map, 1)
        if self.norm == "batch":
            mean, var = (self.get(f"norm.{encoder}.{level}.{kind}") for kind in ("mean", "var"))
            return functional.batch_norm(map, mean, var)
        return map

    def forward(self, maps: Sequence[Maps]) -> list[Tensor]:
        """The four fused maps; ``maps[encoder][level]`` is ``[N, C, H, W]``."""
        gates = self.gates(len(maps)).to(maps[0][0])
        return [
            self.fused([self.prepared(maps[e][level], e, level) for e in range(len(maps))], gates, level)
            for level in range(4)
        ]

    def prepared(self, map: Tensor, encoder: int, level: int) -> Tensor:
        map = self.normalised(map, encoder, level)
        if self.projection:
            name = f"project.{encoder}.{level}"
            map = functional.leaky_relu(functional.conv2d(map, self.get(f"{name}.weight"), self.get(f"{name}.bias")))
        return map

    def fused(self, maps: list[Tensor], gates: Tensor, level: int) -> Tensor:
        if self.fusion == "product":
            return torch.stack([1.0 + gate * (map - 1.0) for gate, map in zip(gates, maps, strict=True)]).prod(0)
        weighed = [gate * map for gate, map in zip(gates, maps, strict=True)]
        if self.fusion == "sum":
            return torch.stack(weighed).sum(0)
        joined = torch.cat(weighed, 1)

        def conv(x: Tensor, name: str) -> Tensor:
            return functional.conv2d(x, self.get(f"{name}.weight"), self.get(f"{name}.bias"))

        if self.fusion == "conv1x1":
            return conv(joined, f"fuse.{level}")
        if self.fusion == "mlp":
            return conv(functional.relu(conv(joined, f"fuse.{level}.fc1")), f"fuse.{level}.fc2")
        return joined
