"""The file of the reference implementation of EoS-FM: written from a release, and opened.

The file is a list of ``(in_chans, state_dict, config)``, readable by ``torch.load`` with its safe defaults: plain
containers and tensors. ``state_dict`` has the names of timm's ``features_only`` model, ``config`` has ``backbone``
(``timm_convnextv2_atto``) and ``encoder_name``. Files written here also say what the reference ignores but a person
needs: the bands in order, the licence, and the normalisation of each band.

The reference does not normalise its images. So the normalisation is folded into the first convolution: give it images
in the data's own units, with the band's mean where there is no data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .card import BACKBONES, BandNormalisation, ReleaseError, read_manifest
from .compose import Composer
from .ensemble import Ensemble
from .specialist import Specialist, encoder

#: More encoders than this are refused.
MAX_ENCODERS, MAX_BANDS = 1000, 1000
Entry = tuple[int, dict[str, Tensor], dict[str, Any]]


def _moments(bands: Sequence[BandNormalisation]) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor([getattr(band, kind) for band in bands], dtype=torch.float64) for kind in ("mean", "std"))
    return mean, std


def fold_normalisation(state: Mapping[str, Tensor], bands: Sequence[BandNormalisation]) -> dict[str, Tensor]:
    """The state of an encoder that takes images in the data's units instead of normalised ones.

    The first convolution computes ``w * (x - mean) / std + b``, which is ``(w / std) * x + (b - sum(w * mean / std))``.
    This is exact because that convolution has no padding: padded zeros would not be means. Computed in 64-bit floats.
    """
    mean, std = _moments(bands)
    weight = state["stem_0.weight"].double() / std[None, :, None, None]
    bias = state["stem_0.bias"].double() - (weight * mean[None, :, None, None]).sum((1, 2, 3))
    folded = {name: tensor.clone() for name, tensor in state.items()}
    return folded | {"stem_0.weight": weight.float(), "stem_0.bias": bias.float()}


def unfold_normalisation(state: Mapping[str, Tensor], bands: Sequence[BandNormalisation]) -> dict[str, Tensor]:
    """The inverse of :func:`fold_normalisation`: the state of an encoder that takes normalised images."""
    mean, std = _moments(bands)
    folded = state["stem_0.weight"].double()
    bias = state["stem_0.bias"].double() + (folded * mean[None, :, None, None]).sum((1, 2, 3))
    return dict(state) | {"stem_0.weight": (folded * std[None, :, None, None]).float(), "stem_0.bias": bias.float()}


def export_eosfm(release: str | Path, output: str | Path, *, verify: bool = True) -> list[str]:
    """Writes the file that the reference implementation of EoS-FM loads, and returns the names of its encoders."""
    folder = Path(release)
    entries: list[Entry] = []
    _, cards = read_manifest(folder)
    for card in cards:
        specialist = Specialist.open(folder, card, verify)
        entries.append(
            _entry(specialist.encoder, card.backbone, card.name, card.normalisation, {"licence": card.licence})
        )
    torch.save(entries, output)
    return [card.name for card in cards]


def _entry(
    module: nn.Module, backbone: str, name: str, bands: Sequence[BandNormalisation], others: Mapping[str, Any]
) -> Entry:
    config = {
        "backbone": f"timm_{backbone}",
        "encoder_name": name,
        "bands": [entry.band for entry in bands],
        "folded_mean": [entry.mean for entry in bands],
        "folded_std": [entry.std for entry in bands],
        **others,
    }
    return len(bands), fold_normalisation(module.state_dict(), bands), config


class EosfmEnsemble(Ensemble):
    """The encoders of the reference's file. Their maps are normalised at each position and concatenated."""

    def save(self, output: str | Path) -> None:
        """Writes the reference's file again."""
        entries = [
            _entry(module, self.backbones[at], self.names[at], self.normalisations[at], self.others[at])
            for at, module in enumerate(self.encoders)
        ]
        torch.save(entries, output)

    backbones: list[str]
    others: list[dict[str, Any]]


def open_eosfm(path: str | Path, bands: Mapping[str, Sequence[str]] | None = None) -> EosfmEnsemble:
    """Opens a file of the reference implementation of EoS-FM.

    It is read with ``weights_only=True``, so no code of the file runs. ``bands`` names the input bands of each encoder by
    the encoder's name, in order; a file that this package wrote says them itself. Images are in the data's units. Where
    the file does not say a normalisation, missing pixels are 0, since the mean is unknown.
    """
    file = Path(path)
    entries = _read(file)
    modules: list[nn.Module] = []
    names: list[str] = []
    normalisations: list[list[BandNormalisation]] = []
    backbones: list[str] = []
    others: list[dict[str, Any]] = []
    for at, (count, state, config) in enumerate(entries):
        name = str(config.get("encoder_name", at))
        named = _bands(file, name, count, config, bands or {})
        backbone = str(config.get("backbone", "")).removeprefix("timm_")
        if backbone not in BACKBONES:
            raise ReleaseError(
                f"{file}: the backbone of `{name}` must be one of {', '.join(BACKBONES)}, found `{backbone}`"
            )
        module = encoder(backbone, count)
        try:
            module.load_state_dict(unfold_normalisation(state, named), strict=True)
        except (RuntimeError, KeyError) as error:
            raise ReleaseError(
                f"{file}: `{name}` does not have the tensors of {backbone} with {count} bands: {error}"
            ) from error
        modules.append(module)
        names.append(name)
        normalisations.append(named)
        backbones.append(backbone)
        known = ("backbone", "encoder_name", "bands", "folded_mean", "folded_std")
        others.append({key: value for key, value in config.items() if key not in known})
    ensemble = EosfmEnsemble(modules, [None] * len(names), names, normalisations, None, Composer({}, {}, str(file)))
    ensemble.backbones, ensemble.others = backbones, others
    return ensemble


def _read(file: Path) -> list[Entry]:
    """The entries of the file, with their kinds checked."""
    try:
        raw = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ReleaseError(f"{file}: {error.strerror}") from error
    except Exception as error:  # torch raises many types for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReleaseError(
            f"{file}: not a file of tensors and plain containers, so it is not opened ({reason}); a file that needs code "
            "to be read is never opened here"
        ) from error
    if not isinstance(raw, list | tuple) or not 0 < len(raw) <= MAX_ENCODERS:
        raise ReleaseError(f"{file}: a list of 1 to {MAX_ENCODERS} encoders is needed, found `{type(raw).__name__}`")
    for at, entry in enumerate(raw):
        if (
            not isinstance(entry, list | tuple)
            or len(entry) != 3
            or not (isinstance(entry[0], int) and 0 < entry[0] <= MAX_BANDS)
            or not (isinstance(entry[1], dict) and all(isinstance(t, Tensor) for t in entry[1].values()))
            or not isinstance(entry[2], dict)
        ):
            raise ReleaseError(f"{file}: entry {at} must be (in_chans, state_dict, config)")
        wrong = next((name for name, tensor in entry[1].items() if tensor.dtype != torch.float32), None)
        if wrong is not None:
            raise ReleaseError(
                f"{file}: `{wrong}` of entry {at} must be of 32-bit floats, found `{entry[1][wrong].dtype}`"
            )
    return [(count, dict(state), dict(config)) for count, state, config in raw]


def _bands(
    file: Path, name: str, count: int, config: Mapping[str, Any], given: Mapping[str, Sequence[str]]
) -> list[BandNormalisation]:
    """The bands of an encoder, with the normalisation that was folded into it: none if the file does not say one."""
    bands = list(given.get(name, config.get("bands", ())))
    mean, std = config.get("folded_mean", [0.0] * count), config.get("folded_std", [1.0] * count)
    if len(bands) != count:
        raise ReleaseError(
            f"{file}: `{name}` takes {count} bands, and {len(bands)} are named; name them in order: bands={{'{name}': [...]}}"
        )
    try:
        entries = [BandNormalisation(str(b), float(m), float(s)) for b, m, s in zip(bands, mean, std, strict=True)]
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"{file}: the normalisation of `{name}` is damaged: {error}") from error
    if not all(entry.std > 0.0 for entry in entries):
        raise ReleaseError(f"{file}: the deviations of `{name}` must be above 0, found {list(std)}")
    return entries
