"""ONNX files, opened in onnxruntime: the same answers as PyTorch's, for another number of images and with holes."""

import json
from pathlib import Path

import numpy
import pytest
import torch
from test_heads import open_made
from test_release import images

import eosfed
from eosfed.__main__ import main

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")


def with_holes(count: int, seed: int = 5) -> torch.Tensor:
    """Images of 64x96 pixels with an area without data."""
    x = images(seed).repeat(2, 1, 1, 1)[:count]
    x[:, :, :9, :5] = float("nan")
    return x


def run(path: Path, x: torch.Tensor) -> list[numpy.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": x.numpy()})


def props(path: Path) -> dict[str, object]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}


def compare(found: list[numpy.ndarray], expected: list[torch.Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        difference = (torch.from_numpy(ours) - theirs).norm() / theirs.norm()
        assert ours.shape == tuple(theirs.shape) and difference < 1e-5, difference


def test_maps_of_a_release(release: Path, tmp_path: Path) -> None:
    path = tmp_path / "maps.onnx"
    assert main(["export-onnx", str(release), str(path), "--size", "64", "96"]) == 0
    said = props(path)
    assert said["bands"] == ["green", "nir", "red"] and said["size"] == [64, 96]
    ensemble = eosfed.open_release(release)
    for count in (1, 3):
        x = with_holes(count)[:, [1, 0, 2]]
        compare(run(path, x), ensemble(x, ["green", "nir", "red"]))


@pytest.mark.parametrize("task", ["classification", "regression", "change_detection"])
def test_answers_of_a_head(release: Path, tmp_path: Path, task: str) -> None:
    target = {"offset": 5.0, "scale": 2.0, "unit": "m"} if task == "regression" else None
    classes = 1 if task == "regression" else 2
    model, _ = open_made(release, tmp_path / "head", task, classes, target=target)
    path = tmp_path / "head.onnx"
    said = eosfed.export_onnx(tmp_path / "head", path, release=release)
    assert said["size"] == [64, 96] and props(path) == said
    bands = list(said["bands"])
    order = [["nir", "green", "red", "blue"].index(band) for band in bands]
    for count in (1, 3):
        x = with_holes(count)[:, order]
        if task == "change_detection":
            x = torch.stack([x, with_holes(count, 6)[:, order]], 1)
        compare(run(path, x), [model.answer(x, bands)])


def test_sizes_that_cannot_be_are_refused(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ([], ["--size", "50"], ["--size", "8192"]):
        assert main(["export-onnx", str(release), str(tmp_path / "x.onnx"), *size]) == 1
        assert "multiples of 32 between 32 and 4096, found" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
