"""One specialist: a frozen timm encoder with the card's bands and normalisation."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .card import Card, ReleaseError, check_digest


def features_only_name(name: str) -> str:
    """timm's name of an encoder's tensor inside its ``features_only`` model: ``stem.0.`` becomes ``stem_0.``."""
    group, index, rest = name.split(".", 2)
    return f"{group}_{index}.{rest}"


def is_encoder(name: str) -> bool:
    return name.startswith(("stem.", "stages."))


def encoder(backbone: str, bands: int) -> nn.Module:
    """timm's model without weights, which gives the four maps of strides 4, 8, 16 and 32."""
    model: nn.Module = timm.create_model(backbone, features_only=True, in_chans=bands, pretrained=False)
    return model


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which must be of 32-bit floats."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except Exception as error:  # safetensors raises its own type, which is not public
        raise ReleaseError(f"{path}: {error}") from error
    wrong = [name for name, tensor in tensors.items() if tensor.dtype != torch.float32]
    if wrong:
        raise ReleaseError(f"{path}: `{wrong[0]}` must be of 32-bit floats, found `{tensors[wrong[0]].dtype}`")
    return tensors


class Specialist(nn.Module):
    """A frozen encoder. Its input is normalised already; :class:`eosfed.Ensemble` does that by band name."""

    def __init__(self, card: Card, tensors: dict[str, Tensor], path: Path) -> None:
        super().__init__()
        self.card = card
        self._tensors = tensors
        self.encoder = encoder(card.backbone, len(card.bands))
        state = {features_only_name(name): tensor for name, tensor in tensors.items() if is_encoder(name)}
        try:
            self.encoder.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise ReleaseError(
                f"{path}: not the tensors of {card.backbone} with {len(card.bands)} bands: {error}"
            ) from error
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def open(cls, folder: Path, card: Card, verify: bool = True) -> Specialist:
        """Loads the specialist of ``card`` from the release in ``folder``."""
        path = folder / card.name / "weights.safetensors"
        if verify:
            check_digest(path, card.digest)
        return cls(card, read_tensors(path), path)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the file by name, also those of the specialist's own head."""
        return self._tensors

    @property
    def channels(self) -> list[int]:
        """Channels of the four maps."""
        channels: list[int] = self.encoder.feature_info.channels()  # type: ignore[operator, union-attr]
        return channels

    def train(self, mode: bool = True) -> Specialist:
        """Changes nothing: a specialist is frozen."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The four maps ``[N, C_l, H / s, W / s]`` of normalised images ``[N, bands, H, W]``."""
        maps: list[Tensor] = self.encoder(images)
        return maps

    def to_timm_state_dict(self) -> dict[str, Tensor]:
        """The state of timm's plain model, with its classifier if the specialist has one."""
        return {name: tensor for name, tensor in self._tensors.items() if is_encoder(name) or name.startswith("head.")}
