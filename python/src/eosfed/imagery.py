"""The imagery that a head learned from, as ``head.json`` describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .card import ReleaseError

#: Sizes whose ratio is below this count as equal.
TOLERANCE = 1.1


@dataclass(frozen=True)
class Imagery:
    """The imagery that a head learned from.

    ``tile`` is the height and width of a sample in pixels and ``ground_sampling_distance`` is in metres; both are None
    where they are unknown, as for a head that was trained in rounds. ``input_size`` is the side to which tiles were
    resized, if they were, and ``antialias`` whether they were filtered, as PyTorch's
    ``interpolate(mode="bilinear", antialias=True)`` does it.
    """

    tile: tuple[int, int] | None
    ground_sampling_distance: float | None
    input_size: int | None
    antialias: bool = False

    @classmethod
    def parse(cls, head: dict[str, Any], path: Path) -> Imagery:
        """Reads the entries of the ``head.json`` at ``path``."""
        if "imagery" not in head:
            raise ReleaseError(
                f"{path}: `imagery` is missing: an earlier version trained this head and did not record the size of its "
                "tiles; train it again with `eosfed-trainer fit`, or fetch it again with `eosfed job head`"
            )
        try:
            raw = head["imagery"]
            tile, distance, size = raw["tile"], raw["ground_sampling_distance"], head["input_size"]
            imagery = cls(
                tile=None if tile is None else (int(tile[0]), int(tile[1])),
                ground_sampling_distance=None if distance is None else float(distance),
                input_size=None if size is None else int(size),
                antialias=bool(head.get("antialias", False)),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ReleaseError(f"{path}: `imagery` is damaged: {error!r}") from error
        if any(side is not None and side < 1 for side in (*(imagery.tile or ()), imagery.input_size)):
            raise ReleaseError(f"{path}: the sizes of `imagery` and `input_size` must be above 0, found {imagery}")
        return imagery

    def seen_size(self) -> tuple[int, int] | None:
        """Height and width of the images that the head learned from."""
        return self.tile if self.input_size is None else (self.input_size, self.input_size)

    def difference(self, height: int, width: int) -> str | None:
        """A sentence with the ratio, if images of this size differ from those that the head learned from."""
        seen = self.seen_size()
        if seen is None:
            return None
        ratio = max(height / seen[0], width / seen[1], key=lambda r: max(r, 1 / r))
        if 1 / TOLERANCE <= ratio <= TOLERANCE:
            return None
        resized = ""
        if self.input_size is not None and self.tile is not None:
            resized = f" (tiles of {self.tile[0]}x{self.tile[1]}, resized)"
        return (
            f"the head learned from images of {seen[0]}x{seen[1]} pixels{resized} and gets {height}x{width}, "
            f"{ratio:.3f} times the size; cut and resize images as in its training, or its maps are not reliable"
        )
