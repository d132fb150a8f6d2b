"""Answers of heads for all tasks, compared with PyTorch's and timm's own modules."""

import json
from pathlib import Path

import pytest
import torch
from conftest import plain_model
from test_compose import DIMS, make_head
from test_release import BANDS, images
from timm.layers import NormMlpClassifierHead
from torch import nn
from torch.nn import functional

import eosfed

CHOSEN = {"norm": "none", "selection": {"kind": "top_k", "k": 1, "scale": False}, "fusion": {"kind": "sum"}}


def head_tensors(dense: bool, classes: int, dims: list[int], width: int = 128) -> dict[str, torch.Tensor]:
    """Random tensors of a head over maps of these channels, with a decoder of ``width`` channels."""
    generator = torch.Generator().manual_seed(8)

    def values(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    if not dense:
        pairs = {"head.norm": [dims[3]], "head.fc": [classes, dims[3]]}
        return {f"{n}.weight": 1 + values(*s) for n, s in pairs.items()} | {
            f"{n}.bias": values(s[0]) for n, s in pairs.items()
        }
    convs = {f"ppm.{at}": (dims[3], 1) for at in range(4)} | {"bottleneck": (dims[3] + 4 * width, 3)}
    convs |= {f"lateral.{at}": (dims[at], 1) for at in range(3)} | {f"fpn.{at}": (width, 3) for at in range(3)}
    convs["fuse"] = (4 * width, 3)
    tensors = {"decoder.classify.weight": values(classes, width, 1, 1), "decoder.classify.bias": values(classes)}
    for name, (channels, kernel) in convs.items():
        tensors[f"decoder.{name}.conv.weight"] = values(width, channels, kernel, kernel)
        tensors[f"decoder.{name}.norm.weight"] = 1 + values(width)
        tensors[f"decoder.{name}.norm.bias"] = values(width)
    return tensors


def upernet(maps: list[torch.Tensor], tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """UPerNet of torch's modules, written down apart from the package."""

    def conv(name: str) -> nn.Module:
        weight = tensors[f"decoder.{name}.conv.weight"]
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding="same", bias=False)
        norm = nn.GroupNorm(weight.shape[0] // 4, weight.shape[0])
        layer.load_state_dict({"weight": weight})
        norm.load_state_dict({k: tensors[f"decoder.{name}.norm.{k}"] for k in ("weight", "bias")})
        return nn.Sequential(layer, norm, nn.ReLU())

    def to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, like.shape[-2:], mode="bilinear")

    pools = [nn.Sequential(nn.AdaptiveAvgPool2d(side), conv(f"ppm.{at}")) for at, side in enumerate((1, 2, 3, 6))]
    top = conv("bottleneck")(torch.cat([maps[3], *(to(pool(maps[3]), maps[3]) for pool in pools)], 1))
    levels = [conv(f"lateral.{at}")(maps[at]) for at in range(3)]
    levels[2] = levels[2] + to(top, levels[2])
    levels[1] = levels[1] + to(levels[2], levels[1])
    levels[0] = levels[0] + to(levels[1], levels[0])
    levels = [conv(f"fpn.{at}")(level) for at, level in enumerate(levels)]
    fused = conv("fuse")(torch.cat([levels[0], *(to(x, levels[0]) for x in (*levels[1:], top))], 1))
    return functional.conv2d(fused, tensors["decoder.classify.weight"], tensors["decoder.classify.bias"])


def open_made(release: Path, folder: Path, task: str, classes: int, width: int = 128, **others: object) -> tuple:
    """A head for a task that sums the maps of the one encoder it has chosen, and its tensors."""
    dense = task not in ("classification", "multilabel")
    dims = [2 * dim for dim in DIMS] if task == "change_detection" else DIMS
    tensors = head_tensors(dense, classes, dims, width)
    names = [str(at) for at in range(classes)]
    head = make_head(
        folder,
        release,
        CHOSEN,
        tensors | {"select.weight": torch.tensor([0.5, 1.5])},
        **({"task": task, "classes": names} | others),
    )
    return eosfed.open_head(head, release), tensors


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_answers_for_images_are_timms(release: Path, tmp_path: Path, task: str) -> None:
    model, tensors = open_made(release, tmp_path / "head", task, 2)
    maps = model.ensemble(images(), BANDS)
    timms = NormMlpClassifierHead(320, 2)
    timms.load_state_dict({name.removeprefix("head."): tensor for name, tensor in tensors.items()}, strict=True)
    expected = timms.eval()(maps[3])
    torch.testing.assert_close(model(images(), BANDS), expected, atol=1e-5, rtol=1e-5)
    answer = expected.softmax(1) if task == "classification" else expected.sigmoid()
    torch.testing.assert_close(model.answer(images(), BANDS), answer, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "width"), [("segmentation", 128), ("segmentation", 32), ("change_detection", 128), ("regression", 64)]
)
def test_answers_for_pixels_are_torchs(release: Path, tmp_path: Path, task: str, width: int) -> None:
    classes = 1 if task == "regression" else 3
    target = {"offset": 5.0, "scale": 2.0, "unit": "m"} if task == "regression" else None
    model, tensors = open_made(release, tmp_path / "head", task, classes, width, target=target)
    x = torch.stack([images(1), images(2)], 1) if task == "change_detection" else images()
    expected = upernet(model.ensemble(x, BANDS), tensors)
    torch.testing.assert_close(model(x, BANDS), expected, atol=1e-4, rtol=1e-4)
    full = functional.interpolate(expected, (64, 96), mode="bilinear")
    answer = full * 2.0 + 5.0 if task == "regression" else full.softmax(1)
    found = model.answer(x, BANDS)
    assert found.shape == (2, classes, 64, 96)
    torch.testing.assert_close(found, answer, atol=1e-4, rtol=1e-4)


def test_encoders_that_are_not_chosen_are_not_computed(release: Path, tmp_path: Path) -> None:
    model, _ = open_made(release, tmp_path / "head", "classification", 2)
    runs = [0, 0]
    for at, encoder in enumerate(model.ensemble.encoders):
        encoder.register_forward_hook(lambda *_, at=at: runs.__setitem__(at, runs[at] + 1))
    before = model(images(), BANDS)
    assert runs == [0, 1]
    # Computing it all the same changes nothing.
    model.ensemble.composer.chosen = lambda encoders: [0, 1]
    gates = torch.tensor([0.0, 1.0])
    model.ensemble.composer.gates = lambda encoders: gates
    assert torch.equal(model(images(), BANDS), before) and runs == [1, 2]


@pytest.mark.parametrize("method", ["mean_logits", "router"])
def test_outputs_of_specialists_are_combined(release: Path, tmp_path: Path, method: str) -> None:
    tensors = {"router.weight": torch.randn(2, 4), "router.bias": torch.randn(2)} if method == "router" else {}
    head = make_head(tmp_path / "head", release, {}, tensors, method=method)
    x = images()
    inputs = [torch.stack([(x[:, 1] - 0.2) / 0.5, (x[:, 0] - 0.3) / 0.5], 1), (x[:, 1:3].mean(1, True) - 0.2) / 0.5]
    with torch.no_grad():
        each = [plain_model(c, 2, seed)(i) for seed, (c, i) in enumerate(zip((2, 1), inputs, strict=True))]
    expected = (each[0] + each[1]) / 2
    if method == "router":
        gates = (torch.cat(each, 1) @ tensors["router.weight"].T + tensors["router.bias"]).softmax(1)
        expected = each[0] * gates[:, :1] + each[1] * gates[:, 1:]
    found = eosfed.open_head(head, release)(x, BANDS)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_heads_that_do_not_fit_are_refused(release: Path, tmp_path: Path) -> None:
    def refused(name: str, tensors: dict, **others: object) -> str:
        head = make_head(tmp_path / name, release, {"norm": "none"}, tensors, **others)
        with pytest.raises(eosfed.ReleaseError) as error:
            eosfed.open_head(head, release)(images(), BANDS)
        return str(error.value)

    assert "found `painting`" in refused("a", {}, task="painting")
    assert "`head.norm.weight` is missing" in refused("b", {})
    assert "the task and classes of the head" in refused("c", {}, method="mean_logits", classes=["b", "a"])
    rounds = make_head(tmp_path / "d", release, {"norm": "none"}, {})
    with pytest.raises(eosfed.ReleaseError, match="eosfed release pull 1"):
        eosfed.open_head(rounds)
    path = rounds / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"release_folder": str(release), "encoders": []}))
    with pytest.raises(eosfed.ReleaseError, match="found none"):
        eosfed.open_head(rounds)
    (rounds / "head.safetensors").write_bytes(b"damaged")
    path.write_text(json.dumps(json.loads((tmp_path / "b" / "head.json").read_text())))
    with pytest.raises(eosfed.ReleaseError, match="head.safetensors"):
        eosfed.open_head(rounds, release)


def test_a_head_names_its_release_relative_to_itself(release: Path, tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    tensors = head_tensors(False, 2, DIMS) | {"select.weight": torch.tensor([0.5, 1.5])}
    head = make_head(tmp_path / "heads" / "top", release, CHOSEN, tensors)
    path = head / "head.json"
    raw = json.loads(path.read_text())
    for named in (Path("../..") / release.name, release):  # the second is how earlier versions wrote it
        path.write_text(json.dumps(raw | {"release_folder": str(named)}))
        assert eosfed.open_head(head)(images(), BANDS).shape == (2, 2)
    path.write_text(json.dumps(raw | {"release_folder": "../gone"}))
    with pytest.raises(eosfed.ReleaseError, match="gone"):
        eosfed.open_head(head)
