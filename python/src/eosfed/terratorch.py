"""A release as a TerraTorch backbone.

Importing this module registers ``EosFed`` in TerraTorch's registry of backbones:

    import eosfed.terratorch
    BACKBONE_REGISTRY.build("EosFed", release="release-3", bands=["B02", "B03", "B04", "B08"])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .ensemble import open_release

try:
    from terratorch.registry import TERRATORCH_BACKBONE_REGISTRY
except ImportError as error:
    raise ImportError("TerraTorch is not installed; install it with: pip install eosfed[terratorch]") from error


class EosFed(nn.Module):
    """The four maps of a release for images of fixed bands."""

    def __init__(self, release: str, bands: Sequence[str], head: str | None = None, **_: Any) -> None:
        super().__init__()
        self.bands = list(bands)
        self.ensemble = open_release(release, head=head)
        self.out_channels = self.ensemble.out_channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Four maps of images ``[N, len(bands), H, W]`` in the data's own units; under a head for two dates
        ``[N, len(bands), 2, H, W]``, as TerraTorch has time."""
        if self.ensemble.dates > 1:
            images = images.transpose(1, 2)
        return self.ensemble(images, self.bands)  # type: ignore[no-any-return]


TERRATORCH_BACKBONE_REGISTRY.register(EosFed)
