"""Hugging Face's layout: timm opens what this package writes, and the other way round. Nothing is fetched."""

import json
from pathlib import Path

import pytest
import timm
import torch
from conftest import BACKBONE, plain_model
from safetensors.torch import save_file
from test_release import BANDS, images, stage_maps

import eosfed
from eosfed.__main__ import main


def test_timm_opens_the_folder(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    assert main(["export-hf", str(release), "green-nir", str(folder)]) == 0
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert model.num_classes == 2 and model.pretrained_cfg["mean"] == pytest.approx([0.2, 0.3])
    x = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), plain_model(2, 2, 0)(x))
    card = (folder / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: timm\nlicense: "CC0-1.0"\n') and "| nir | 0.3 | 0.5 |" in card


def test_folders_are_opened_as_an_ensemble(release: Path, tmp_path: Path) -> None:
    folders = [eosfed.export_huggingface(release, name, tmp_path / name) for name in ("green-nir", "only-red")]
    opened = eosfed.open_huggingface(folders)
    for ours, theirs in zip(opened(images(), BANDS), eosfed.open_release(release)(images(), BANDS), strict=True):
        assert torch.equal(ours, theirs)


def foreign(folder: Path) -> Path:
    """A model as timm publishes one."""
    folder.mkdir()
    save_file(plain_model(3, 5, 4).state_dict(), folder / "model.safetensors")
    known = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 5}
    config = {"architecture": BACKBONE, "num_classes": 5, "pretrained_cfg": known}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_of_timms_is_told_its_bands(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "photographs")
    with pytest.raises(eosfed.ReleaseError, match=r"does not name its bands; .*=\['red', 'green', 'blue'\]"):
        eosfed.open_huggingface(folder)
    opened = eosfed.open_huggingface(folder, bands=["red", "green", "blue"])
    x = images()[:, [2, 1, 3]]
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        expected = stage_maps(plain_model(3, 5, 4), (x - mean) / std)
    for ours, theirs in zip(opened.encoder_maps(images(), BANDS)[0], expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_damaged_folders_are_refused(release: Path, tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        with pytest.raises(eosfed.ReleaseError) as error:
            eosfed.open_huggingface(folder, bands=["red", "green", "blue"])
        return str(error.value)

    with pytest.raises(eosfed.ReleaseError, match="there is no specialist `blue`; there are green-nir, only-red"):
        eosfed.export_huggingface(release, "blue", tmp_path / "x")
    folder = foreign(tmp_path / "a")
    config = json.loads((folder / "config.json").read_text())
    for changes, text in [
        ({"architecture": "resnet50"}, "found `resnet50`"),
        ({"pretrained_cfg": {"mean": [0.5], "std": [0.5]}}, "a mean and a deviation of each of 3 bands"),
        ({"pretrained_cfg": {"mean": [0.0] * 3, "std": [0.0] * 3}}, "above 0"),
        ({"eosfed": {"name": "../x"}}, "card is damaged"),
    ]:
        (folder / "config.json").write_text(json.dumps(config | changes))
        assert text in refused(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert "model.safetensors" in refused(folder)
    (folder / "config.json").write_text("[]")
    assert "found `list`" in refused(folder)
