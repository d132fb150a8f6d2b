"""Specialists in Hugging Face's layout (``config.json``, ``model.safetensors``, ``README.md``), as timm publishes models.
Nothing is fetched: folders are written and opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from .card import BACKBONES, BandNormalisation, Card, ReleaseError, read_json, read_manifest
from .compose import Composer
from .ensemble import Ensemble
from .specialist import Specialist, is_encoder, read_tensors

CONFIG, WEIGHTS, MODEL_CARD = "config.json", "model.safetensors", "README.md"


def export_huggingface(release: str | Path, specialist: str, folder: str | Path, *, verify: bool = True) -> Path:
    """Writes a specialist as ``timm.create_model("local-dir:FOLDER")`` loads it, with a model card. Returns the folder.

    timm gets the encoder, and the classifier of a specialist for whole images. The specialist's card is in ``config.json``
    under ``eosfed``, so that :func:`open_huggingface` knows bands and normalisation.
    """
    _, cards = read_manifest(Path(release))
    card = next((card for card in cards if card.name == specialist), None)
    if card is None:
        raise ReleaseError(
            f"{release}: there is no specialist `{specialist}`; there are {', '.join(c.name for c in cards)}"
        )
    opened = Specialist.open(Path(release), card, verify)
    state = {name: tensor.contiguous() for name, tensor in opened.to_timm_state_dict().items()}
    classes = len(card.classes) if "head.fc.weight" in state else 0
    to = Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    save_file(state, to / WEIGHTS, metadata={"format": "pt"})
    config = {
        "architecture": card.backbone,
        "num_classes": classes,
        "num_features": opened.channels[-1],
        "model_args": {"in_chans": len(card.bands)},
        "pretrained_cfg": {
            "num_classes": classes,
            "input_size": [len(card.bands), 224, 224],
            "mean": [entry.mean for entry in card.normalisation],
            "std": [entry.std for entry in card.normalisation],
            "first_conv": "stem.0",
            "classifier": "head.fc",
            "license": card.licence,
        },
        "eosfed": card.raw,
    }
    (to / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (to / MODEL_CARD).write_text(_model_card(card), encoding="utf-8")
    return to


def _model_card(card: Card) -> str:
    """A model card: Hugging Face's header, then what the specialist's card says."""
    quoted = json.dumps  # JSON strings are YAML strings
    header = [
        "---", "library_name: timm", f"license: {quoted(card.licence)}", "tags:", "- remote-sensing", "- eosfed",
        f"- {quoted(card.task)}", "---",
    ]  # fmt: skip
    rows = [f"| {entry.band} | {entry.mean:g} | {entry.std:g} |" for entry in card.normalisation]
    scores = card.raw.get("metrics", {})
    return "\n".join([
        *header,
        "",
        f"# {card.name}, version {card.version}",
        "",
        f"A specialist of an EoS-Fed release: {card.backbone}, trained for {card.task} of {', '.join(card.classes)}.",
        f"Digest of its weights in the release: `{card.digest}`.",
        "",
        "| band | mean | standard deviation |",
        "| --- | ---: | ---: |",
        *rows,
        "",
        "Images are in the data's units; normalise them with this table. Pixels without data are 0 after that.",
        "",
        *(f"- {name}: {value:g}" for name, value in scores.items() if isinstance(value, int | float)),
        "",
    ])  # fmt: skip


def open_huggingface(folders: str | Path | Sequence[str | Path], bands: Sequence[str] | None = None) -> Ensemble:
    """Opens one folder in Hugging Face's layout, or several as one ensemble.

    A folder that :func:`export_huggingface` wrote knows its bands. For another folder of timm's, such as a ConvNeXtV2 that
    was trained on photographs, ``bands`` names the inputs in order; its mean and deviation are those of its
    ``pretrained_cfg``.
    """
    places = [folders] if isinstance(folders, str | Path) else list(folders)
    if not places:
        raise ReleaseError("at least one folder is needed, found none")
    opened = [_opened(Path(place), bands) for place in places]
    cards: list[Card | None] = [specialist.card for specialist in opened]
    modules: list[nn.Module] = list(opened)
    composer = Composer({}, {}, ", ".join(map(str, places)))
    normalisations = [specialist.card.normalisation for specialist in opened]
    return Ensemble(modules, cards, [s.card.name for s in opened], normalisations, None, composer)


def _opened(folder: Path, bands: Sequence[str] | None) -> Specialist:
    path = folder / CONFIG
    config = read_json(path)
    if not isinstance(config, dict):
        raise ReleaseError(f"{path}: an object is needed, found `{type(config).__name__}`")
    card = Card.parse(config["eosfed"], path) if "eosfed" in config else _foreign(config, folder, path, bands)
    if str(config.get("architecture", "")).split(".")[0] != card.backbone:
        raise ReleaseError(f"{path}: the architecture must be {card.backbone}, found `{config.get('architecture')}`")
    tensors = read_tensors(folder / WEIGHTS)
    if not any(is_encoder(name) for name in tensors):
        raise ReleaseError(f"{folder / WEIGHTS}: there are no tensors of an encoder (`stem.`, `stages.`)")
    return Specialist(card, tensors, folder / WEIGHTS)


def _foreign(config: dict[str, Any], folder: Path, path: Path, bands: Sequence[str] | None) -> Card:
    """The card of a model that timm published."""
    backbone = str(config.get("architecture", "")).split(".")[0]
    if backbone not in BACKBONES:
        raise ReleaseError(f"{path}: the architecture must be one of {', '.join(BACKBONES)}, found `{backbone}`")
    if not bands:
        raise ReleaseError(
            f"{path}: the file does not name its bands; give them in order: bands=['red', 'green', 'blue']"
        )
    try:
        known = config["pretrained_cfg"]
        mean, std = [float(value) for value in known["mean"]], [float(value) for value in known["std"]]
        entries = tuple(BandNormalisation(str(b), m, s) for b, m, s in zip(bands, mean, std, strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError(
            f"{path}: a mean and a deviation of each of {len(bands)} bands are needed: {error!r}"
        ) from error
    if not all(math.isfinite(entry.mean) and 0.0 < entry.std < math.inf for entry in entries):
        raise ReleaseError(f"{path}: deviations must be finite and above 0, found {std}")
    licence = str(known.get("license", "unknown"))
    return Card(folder.name, 1, "", backbone, "classification", tuple(map(str, bands)), (), entries, licence, {})
