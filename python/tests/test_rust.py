"""The same release and images through the Rust trainer and through this package: equal to 1e-4.

Needs the programs: EOSFED_BIN_DIR names their folder (`make build` puts them into target/debug).
"""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import numpy
import pytest
import tifffile
import torch
from safetensors.torch import load_file
from test_release import reference_models

import eosfed

PROGRAM = Path(os.environ.get("EOSFED_BIN_DIR", "")) / "eosfed-trainer"
pytestmark = pytest.mark.skipif("EOSFED_BIN_DIR" not in os.environ, reason="EOSFED_BIN_DIR is not set")
BANDS = ["nir", "green", "red"]


def run(*arguments: object) -> None:
    done = subprocess.run([PROGRAM, *map(str, arguments)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    generator = numpy.random.default_rng(3)
    folder = tmp_path / "data"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(3):
            pixels = generator.random((3, 64, 64), dtype=numpy.float32)
            pixels[:, :5, :7] = numpy.nan
            tifffile.imwrite(folder / name / f"{index}.tif", pixels, planarconfig="separate", photometric="minisblack")
    (folder / "dataset.toml").write_text(
        f'task = "classification"\nbands = {json.dumps(BANDS)}\nclasses = ["a", "b"]\n[layout]\nkind = "folders"\nroot = "."\n'
        "[split]\nvalidation = 0.0\ntest = 0.5\n"
    )
    return folder


def compare(ensemble: eosfed.Ensemble, features: Path, data: Path) -> None:
    found = load_file(features)
    keys = json.loads(features.with_suffix(".json").read_text())["keys"]
    images = torch.stack([torch.from_numpy(tifffile.imread(data / key)) for key in keys])
    maps = ensemble(images, BANDS)
    assert len(keys) > 0
    for level, map in enumerate(maps):
        torch.testing.assert_close(found[f"map.{level}"], map, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found["pooled"], maps[3].mean((2, 3)), atol=1e-4, rtol=1e-4)


def test_concatenated_maps_are_the_rust_trainers(release: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.safetensors"
    run("features", "--release", release, "--data", data, "--split", "test", "--maps", "--output", output)
    compare(eosfed.open_release(release), output, data)


def test_maps_of_the_export_are_the_rust_trainers(release: Path, data: Path, tmp_path: Path) -> None:
    """The reference implementation's way: images in the data's units, the band's mean where there is no data."""
    features, export = tmp_path / "features.safetensors", tmp_path / "ensemble.pth"
    run("features", "--release", release, "--data", data, "--split", "test", "--maps", "--output", features)
    eosfed.export_eosfm(release, export)
    models = reference_models(export)
    configs = {config["encoder_name"]: config for _, _, config in torch.load(export)}
    keys = json.loads(features.with_suffix(".json").read_text())["keys"]
    images = torch.stack([torch.from_numpy(tifffile.imread(data / key)) for key in keys])
    found = load_file(features)
    for level in range(4):
        each = []
        for name, model in models.items():
            config = configs[name]
            mean = torch.tensor(config["folded_mean"])[:, None, None]
            x = images[:, [BANDS.index(band) for band in config["bands"]]]
            with torch.no_grad():
                map = model(torch.where(x.isnan(), mean, x))[level]
            each.append((map - map.mean(1, keepdim=True)) / (map.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt())
        ours, theirs = found[f"map.{level}"], torch.cat(each, 1)
        cosine = torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0).item()
        error = (ours - theirs).abs().max().item()
        print(f"level {level}: cosine {cosine:.7f}, largest error {error:.1e}")
        assert cosine > 0.999999 and error < 1e-3, f"level {level}: cosine {cosine}, error {error}"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two dates that differ, and a mask of where."""
    generator = numpy.random.default_rng(4)
    folder = tmp_path / "pairs"
    for part in ("before", "after", "change"):
        (folder / part).mkdir(parents=True)
    for index in range(4):
        for part in ("before", "after"):
            pixels = generator.random((3, 64, 64), dtype=numpy.float32)
            pixels[:, : 4 + index, :9] = numpy.nan
            tifffile.imwrite(folder / part / f"{index}.tif", pixels, planarconfig="separate", photometric="minisblack")
        mask = (generator.random((64, 64)) < 0.4).astype(numpy.uint8)
        tifffile.imwrite(folder / "change" / f"{index}.tif", mask)
    (folder / "dataset.toml").write_text(
        f'task = "change_detection"\nbands = {json.dumps(BANDS)}\nclasses = ["same", "changed"]\n'
        '[layout]\nkind = "pairs"\nimages = "before"\nafter = "after"\nmasks = "change"\n'
        "[split]\nvalidation = 0.0\ntest = 0.5\n"
    )
    return folder


@pytest.mark.parametrize("words", [
    [],
    ["--select", "top-1", "--fuse", "conv1x1", "--project"],
    ["--select", "smooth", "--scale", "--fuse", "mlp:2", "--norm", "batch"],
])  # fmt: skip
def test_maps_of_two_dates_are_the_rust_trainers(release: Path, pairs: Path, tmp_path: Path, words: list[str]) -> None:
    head, output = tmp_path / "head", tmp_path / "features.safetensors"
    run("fit", "--release", release, "--data", pairs, "--epochs", 1, "--output", head, *words)
    run("features", "--head", head, "--data", pairs, "--split", "test", "--maps", "--output", output)
    found = load_file(output)
    keys = [Path(key).name for key in json.loads(output.with_suffix(".json").read_text())["keys"]]
    dates = [
        torch.stack([torch.from_numpy(tifffile.imread(pairs / part / key)) for key in keys])
        for part in ("before", "after")
    ]
    ensemble = eosfed.open_release(release, head=head)
    maps = ensemble(torch.stack(dates, 1), BANDS)
    assert ensemble.dates == 2 and len(keys) > 0
    assert ensemble.out_channels == [map.shape[1] for map in maps]
    for level, map in enumerate(maps):
        torch.testing.assert_close(found[f"map.{level}"], map, atol=1e-4, rtol=1e-4)
    if importlib.util.find_spec("terratorch"):
        from eosfed.terratorch import EosFed

        backbone = EosFed(str(release), BANDS, str(head))
        torch.testing.assert_close(backbone(torch.stack(dates, 2)), maps)
    turned = ensemble(torch.stack(dates[::-1], 1), BANDS)
    assert not torch.allclose(maps[0], turned[0]), "the order of the dates counts"
    with pytest.raises(eosfed.ReleaseError, match=r"\[N, 2, 3, H, W\] .* at two dates, found \[2, 3, 64, 64\]"):
        ensemble(torch.zeros(2, 3, 64, 64), BANDS)


@pytest.mark.parametrize("words", [
    ["--select", "top-1", "--fuse", "conv1x1", "--project"],
    ["--select", "smooth", "--scale", "--fuse", "mlp:2", "--norm", "batch"],
    ["--fuse", "product", "--norm", "layer"],
    ["--fuse", "sum"],
])  # fmt: skip
def test_fused_maps_are_the_rust_trainers(release: Path, data: Path, tmp_path: Path, words: list[str]) -> None:
    head, output = tmp_path / "head", tmp_path / "features.safetensors"
    run("fit", "--release", release, "--data", data, "--epochs", 2, "--output", head, *words)
    run("features", "--head", head, "--data", data, "--split", "test", "--maps", "--output", output)
    compare(eosfed.open_release(release, head=head), output, data)


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """Tiles with a mask of where one band is above another, and with its values."""
    generator = numpy.random.default_rng(6)
    folder = tmp_path / "dense"
    for part in ("images", "masks", "values"):
        (folder / part).mkdir(parents=True)
    for index in range(4):
        coarse = generator.random((3, 8, 8), dtype=numpy.float32).repeat(8, 1).repeat(8, 2)
        tifffile.imwrite(folder / "images" / f"{index}.tif", coarse, planarconfig="separate", photometric="minisblack")
        tifffile.imwrite(folder / "masks" / f"{index}.tif", (coarse[0] > coarse[1]).astype(numpy.uint8))
        tifffile.imwrite(folder / "values" / f"{index}.tif", 20.0 * coarse[2])
    for task in ("segmentation", "regression"):
        masks = 'mask_values = [0, 1]\nclasses = ["low", "high"]' if task == "segmentation" else 'classes = ["height"]'
        labels = "masks" if task == "segmentation" else "values"
        (folder / f"{task}.toml").write_text(
            f'task = "{task}"\nbands = {json.dumps(BANDS)}\n{masks}\n'
            f'[layout]\nkind = "pairs"\nimages = "images"\nmasks = "{labels}"\n[split]\nvalidation = 0.0\n'
        )
    return folder


@pytest.mark.parametrize(("task", "words"), [
    ("segmentation", ["--select", "top-1", "--fuse", "conv1x1"]),
    ("regression", ["--norm", "batch"]),
])  # fmt: skip
def test_answers_are_the_rust_trainers_map(
    release: Path, dense: Path, tmp_path: Path, task: str, words: list[str]
) -> None:
    """A scene of one window: what `predict` writes is what the head answers here."""
    head, scene, map = tmp_path / "head", dense / "images" / "0.tif", tmp_path / "map.tif"
    run("fit", "--release", release, "--data", dense / f"{task}.toml", "--epochs", 2, "--output", head, *words)
    run("predict", "--head", head, "--image", scene, "--bands", ",".join(BANDS), "--output", map)
    model = eosfed.open_head(head)
    answer = model.answer(torch.from_numpy(tifffile.imread(scene))[None], BANDS)[0]
    found = torch.from_numpy(tifffile.imread(map))
    if task == "regression":
        torch.testing.assert_close(found, answer[0], atol=1e-3, rtol=1e-4)
    else:
        clear = (answer[0] - answer[1]).abs() > 1e-4
        assert clear.float().mean() > 0.9 and torch.equal(found[clear], answer.argmax(0)[clear].to(found.dtype))
