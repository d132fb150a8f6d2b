"""Selection and fusion with the tensors of a head, compared with a plain computation."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_release import BANDS, images
from torch.nn import functional

import eosfed

DIMS = [40, 80, 160, 320]


def make_head(
    folder: Path, release: Path, composition: dict, tensors: dict[str, torch.Tensor], **others: object
) -> Path:
    cards = json.loads((release / "release.json").read_text())["specialists"]
    folder.mkdir()
    encoders = [
        {"name": card["name"], "backbone": card["model"]["backbone"], "weights": card["weights"], "random_seed": None,
         "normalisation": card["normalisation"], "sources": [[entry["band"]] for entry in card["normalisation"]]}
        for card in cards
    ]  # fmt: skip
    encoders[1]["sources"] = [["red", "green"]]
    head = {
        "name": "h",
        "release": 1,
        "release_folder": "",
        "encoders": encoders,
        "method": "fusion",
        "composition": composition,
        "task": "classification",
        "classes": ["a", "b"],
        "class_colours": {"a": "#0072b2"},
        "target": None,
        "input_size": None,
        "imagery": {"tile": [64, 96], "ground_sampling_distance": 10.0},
        "samples": 1,
        "training": None,
    }
    (folder / "head.json").write_text(json.dumps(head | others))
    save_file(
        {"head.fc.bias": torch.zeros(2)} | {name: tensor.contiguous() for name, tensor in tensors.items()},
        folder / "head.safetensors",
    )
    return folder


def raw_maps(release: Path, tmp_path: Path) -> list[list[torch.Tensor]]:
    """Each encoder's maps as they are, fed as the head says."""
    head = make_head(tmp_path / "raw", release, {"norm": "none"}, {})
    joined = eosfed.open_release(release, head=head)(images(), BANDS)
    return [
        [map[:, :dim] for map, dim in zip(joined, DIMS, strict=True)],
        [map[:, dim:] for map, dim in zip(joined, DIMS, strict=True)],
    ]


@pytest.mark.parametrize(("selection", "gates"), [
    ({"kind": "all"}, [1.0, 1.0]),
    ({"kind": "top_k", "k": 1, "scale": False}, [0.0, 1.0]),
    ({"kind": "top_k", "k": 1, "scale": True}, [0.0, 1.5]),
    ({"kind": "smooth", "penalty": 0.1, "scale": True}, [0.5, 1.5]),
    ({"kind": "smooth", "penalty": 0.1, "scale": False}, [torch.sigmoid(torch.tensor(0.5)).item(), torch.sigmoid(torch.tensor(1.5)).item()]),
])  # fmt: skip
def test_selection(release: Path, tmp_path: Path, selection: dict, gates: list[float]) -> None:
    head = make_head(
        tmp_path / "head",
        release,
        {"norm": "none", "selection": selection},
        {"select.weight": torch.tensor([0.5, 1.5])},
    )
    ensemble = eosfed.open_release(release, head=head)
    assert list(ensemble.selection().values()) == pytest.approx(gates)
    maps = raw_maps(release, tmp_path)
    for level, map in enumerate(ensemble(images(), BANDS)):
        torch.testing.assert_close(map, torch.cat([gates[0] * maps[0][level], gates[1] * maps[1][level]], 1))


def test_ties_go_to_the_first(release: Path, tmp_path: Path) -> None:
    selection = {"kind": "top_k", "k": 1, "scale": False}
    head = make_head(tmp_path / "head", release, {"selection": selection}, {"select.weight": torch.ones(2)})
    assert list(eosfed.open_release(release, head=head).selection().values()) == [1.0, 0.0]


@pytest.mark.parametrize("fusion", ["sum", "product", "conv1x1", "mlp"])
def test_fusion(release: Path, tmp_path: Path, fusion: str) -> None:
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}

    def conv(name: str, out: int, inputs: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(out, inputs, 1, 1, generator=generator) / inputs**0.5
        tensors[f"{name}.bias"] = torch.randn(out, generator=generator)

    for level, dim in enumerate(DIMS):
        for encoder in range(2):
            conv(f"project.{encoder}.{level}", dim, dim)
        if fusion == "conv1x1":
            conv(f"fuse.{level}", dim, 2 * dim)
        if fusion == "mlp":
            conv(f"fuse.{level}.fc1", 2 * dim * 5 // 4, 2 * dim)
            conv(f"fuse.{level}.fc2", dim, 2 * dim * 5 // 4)
    head = make_head(
        tmp_path / "head",
        release,
        {"norm": "layer", "projection": True, "fusion": {"kind": fusion, "multiple": 1}},
        tensors,
    )
    found = eosfed.open_release(release, head=head)(images(), BANDS)
    maps = raw_maps(release, tmp_path)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return (
            torch.einsum("oi,nihw->nohw", tensors[f"{name}.weight"][:, :, 0, 0], x)
            + tensors[f"{name}.bias"][:, None, None]
        )

    for level in range(4):
        each = []
        for encoder in range(2):
            map = maps[encoder][level]
            normal = (map - map.mean((1, 2, 3), keepdim=True)) / (
                map.var((1, 2, 3), keepdim=True, unbiased=False) + 1e-5
            ).sqrt()
            each.append(functional.leaky_relu(linear(normal, f"project.{encoder}.{level}"), 0.01))
        joined = torch.cat(each, 1)
        expected = {
            "sum": lambda e=each: e[0] + e[1],
            "product": lambda e=each: e[0] * e[1],
            "conv1x1": lambda j=joined, n=level: linear(j, f"fuse.{n}"),
            "mlp": lambda j=joined, n=level: linear(linear(j, f"fuse.{n}.fc1").relu(), f"fuse.{n}.fc2"),
        }[fusion]()
        torch.testing.assert_close(found[level], expected, atol=1e-3, rtol=1e-3)


def test_batch_normalisation(release: Path, tmp_path: Path) -> None:
    tensors = {}
    for encoder in range(2):
        for level, dim in enumerate(DIMS):
            tensors |= {
                f"norm.{encoder}.{level}.mean": torch.full((dim,), 0.5),
                f"norm.{encoder}.{level}.var": torch.full((dim,), 4.0),
            }
    head = make_head(tmp_path / "head", release, {"norm": "batch"}, tensors)
    maps = raw_maps(release, tmp_path)
    for level, map in enumerate(eosfed.open_release(release, head=head)(images(), BANDS)):
        torch.testing.assert_close(map, (torch.cat([maps[0][level], maps[1][level]], 1) - 0.5) / (4.0 + 1e-5) ** 0.5)


def test_heads_that_cannot_be_opened_are_refused(release: Path, tmp_path: Path) -> None:
    def refused(name: str, composition: dict, tensors: dict, **others: object) -> str:
        head = make_head(tmp_path / name, release, composition, tensors, **others)
        with pytest.raises(eosfed.ReleaseError) as error:
            eosfed.open_release(release, head=head)(images(), BANDS)
        return str(error.value)

    assert "found `router`" in refused("a", {}, {}, method="router")
    assert "found `median`" in refused("b", {"fusion": {"kind": "median"}}, {})
    assert "`imagery` is damaged" in refused("d", {"norm": "none"}, {}, imagery={"tile": [1]})
    assert "must be above 0" in refused(
        "e", {"norm": "none"}, {}, imagery={"tile": [0, 1], "ground_sampling_distance": None}
    )
    old = make_head(tmp_path / "old", release, {"norm": "none"}, {})
    raw = json.loads((old / "head.json").read_text())
    del raw["imagery"]
    (old / "head.json").write_text(json.dumps(raw))
    with pytest.raises(eosfed.ReleaseError, match="`imagery` is missing: .* train it again"):
        eosfed.open_release(release, head=old)
    assert "`fuse.0.weight` is missing" in refused("c", {"fusion": {"kind": "conv1x1", "multiple": 1}}, {})


def test_a_head_says_what_it_learned_from(release: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    plain = eosfed.open_release(release, head=make_head(tmp_path / "plain", release, {"norm": "none"}, {}))
    assert plain.imagery == eosfed.Imagery(tile=(64, 96), ground_sampling_distance=10.0, input_size=None)
    plain(images(), BANDS)
    assert plain.out_channels == [80, 160, 320, 640] and not recwarn.list
    with pytest.warns(UserWarning, match=r"images of 64x96 pixels and gets 64x192, 2\.000 times"):
        plain(torch.cat([images(), images()], 3), BANDS)
    # Tiles that were resized must be resized here too.
    head = make_head(tmp_path / "resized", release, {"norm": "none"}, {}, input_size=128)
    with pytest.warns(UserWarning, match=r"128x128 pixels \(tiles of 64x96, resized\) and gets 64x96, 0\.500 times"):
        eosfed.open_release(release, head=head)(images(), BANDS)


def test_a_head_trained_in_rounds_has_no_tiles_of_its_own(release: Path, tmp_path: Path) -> None:
    unknown = {"tile": None, "ground_sampling_distance": None}
    head = eosfed.open_release(
        release, head=make_head(tmp_path / "head", release, {"norm": "none"}, {}, imagery=unknown)
    )
    assert head.imagery == eosfed.Imagery(tile=None, ground_sampling_distance=None, input_size=None)
    head(images(), BANDS)
