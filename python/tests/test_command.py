"""The command line, and TerraTorch's registry."""

import sys
import types
from pathlib import Path

import pytest
import torch

from eosfed.__main__ import main


def test_info_and_export(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(release)]) == 0
    said = capsys.readouterr().out
    assert "release 1: 2 specialists" in said and "only-red@1" in said and "[80, 160, 320, 640]" in said
    assert main(["export-eosfm", str(release), str(tmp_path / "e.pth")]) == 0
    assert (tmp_path / "e.pth").exists()
    assert main(["info", str(tmp_path / "nowhere")]) == 1
    assert "eosfed release pull" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main(["inform"])
    assert usage.value.code == 64


def test_terratorch_gets_a_backbone(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TerraTorch's own registry if it is installed, otherwise with one that only records."""
    try:
        from terratorch.registry import TERRATORCH_BACKBONE_REGISTRY as registry
    except ImportError:
        registered: dict[str, type] = {}
        registry = types.SimpleNamespace(register=lambda cls: registered.setdefault(cls.__name__, cls), build=None)
        fake = types.ModuleType("terratorch.registry")
        fake.TERRATORCH_BACKBONE_REGISTRY = registry  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "terratorch", types.ModuleType("terratorch"))
        monkeypatch.setitem(sys.modules, "terratorch.registry", fake)
        registry.build = lambda name, **arguments: registered[name](**arguments)
    import eosfed.terratorch  # noqa: F401

    backbone = registry.build("EosFed", release=str(release), bands=["B03", "B04", "B08"])
    maps = backbone(torch.rand(1, 3, 64, 64))
    assert [map.shape[1] for map in maps] == backbone.out_channels == [80, 160, 320, 640]


def test_terratorch_builds_a_segmentation_model(release: Path) -> None:
    """TerraTorch's own factory, with its own decoder over our backbone."""
    models = pytest.importorskip("terratorch.models", reason="TerraTorch is not installed")
    import eosfed.terratorch  # noqa: F401

    model = models.EncoderDecoderFactory().build_model(
        task="segmentation",
        backbone="EosFed",
        backbone_release=str(release),
        backbone_bands=["B03", "B04", "B08"],
        decoder="UperNetDecoder",
        decoder_channels=32,
        num_classes=3,
    )
    assert model(torch.rand(2, 3, 64, 64)).output.shape == (2, 3, 64, 64)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert any(p.requires_grad for p in model.decoder.parameters())
