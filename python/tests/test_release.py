"""Opening a release: the maps equal timm's, and errors are refused with a sentence."""

import json
from pathlib import Path

import pytest
import timm
import torch
from conftest import BACKBONE, make_release, plain_model
from safetensors.torch import load_file, save_file

import eosfed

BANDS = ["nir", "green", "red", "blue"]


def images(seed: int = 5) -> torch.Tensor:
    return torch.rand(2, len(BANDS), 64, 96, generator=torch.Generator().manual_seed(seed))


def stage_maps(model: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The plain model's maps, without the wrapper that the package uses."""
    maps, x = [], model.stem(x)
    for stage in model.stages:
        x = stage(x)
        maps.append(x)
    return maps


def test_maps_are_timms_normalised_and_concatenated(release: Path) -> None:
    found = eosfed.open_release(release)(images(), BANDS)
    x = images()
    inputs = [torch.stack([(x[:, 1] - 0.2) / 0.5, (x[:, 0] - 0.3) / 0.5], 1), (x[:, 2:3] - 0.2) / 0.5]
    with torch.no_grad():
        each = [
            stage_maps(plain_model(count, 2, seed), one)
            for seed, (count, one) in enumerate(zip((2, 1), inputs, strict=True))
        ]
    for level, map in enumerate(found):
        parts = [
            (m - m.mean(1, keepdim=True)) / (m.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
            for m in (e[level] for e in each)
        ]
        torch.testing.assert_close(map, torch.cat(parts, 1), atol=1e-4, rtol=1e-4)


def test_the_order_of_bands_does_not_matter_and_common_names_do(release: Path) -> None:
    ensemble = eosfed.open_release(release)
    turned = [2, 0, 3, 1]
    other = ensemble(images()[:, turned], [BANDS[at] for at in turned])
    sentinel = ensemble(images(), ["B08", "B03", "B04", "B02"])
    for a, b, c in zip(ensemble(images(), BANDS), other, sentinel, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_no_data_is_the_mean_and_nothing_learns(release: Path) -> None:
    ensemble = eosfed.open_release(release, specialists=["only-red"])
    x = images()
    x[:, 2, :8] = float("nan")
    filled = images()
    filled[:, 2, :8] = 0.2
    for a, b in zip(ensemble(x, BANDS), ensemble(filled, BANDS), strict=True):
        torch.testing.assert_close(a, b)
    assert not any(p.requires_grad for p in ensemble.parameters()) and not ensemble.train().training
    assert ensemble.out_channels == [40, 80, 160, 320] and ensemble.selection() == {"only-red": 1.0}


def test_timm_loads_the_weights_strictly_both_ways(release: Path) -> None:
    specialist = eosfed.open_release(release).encoders[0]
    plain = timm.create_model(BACKBONE, in_chans=2, num_classes=2, pretrained=False)
    plain.load_state_dict(specialist.to_timm_state_dict(), strict=True)
    features = timm.create_model(BACKBONE, in_chans=2, features_only=True, pretrained=False)
    features.load_state_dict(specialist.encoder.state_dict(), strict=True)
    x = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        for a, b in zip(stage_maps(plain.eval(), x), features.eval()(x), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def reference_models(path: Path) -> dict[str, torch.nn.Module]:
    """What the reference implementation does with an export: torch's safe loader, and timm's ``features_only`` model."""
    models = {}
    for in_chans, state_dict, config in torch.load(path):
        name = config["backbone"].removeprefix("timm_")
        model = timm.create_model(name, in_chans=in_chans, features_only=True, pretrained=False)
        model.load_state_dict(state_dict)
        assert "stem_0.weight" in state_dict and "stages_0.blocks.0.conv_dw.weight" in state_dict
        models[config["encoder_name"]] = model.eval()
    return models


#: Means and deviations of unit reflectances, of digital numbers, and of decibels.
UNITS = {"reflectance": (0.2, 0.05), "digital numbers": (1500.0, 900.0), "decibels": (-14.0, 4.0)}


@pytest.mark.parametrize("units", UNITS)
def test_the_reference_implementation_gives_the_same_maps(tmp_path: Path, units: str) -> None:
    """The reference does not normalise: it gives images in the data's units to the encoders of the export."""
    mean, std = UNITS[units]
    release = make_release(tmp_path / "release", mean=mean, std=std)
    path = tmp_path / "ensemble.pth"
    assert eosfed.export_eosfm(release, path) == ["green-nir", "only-red"]
    models = reference_models(path)
    assert list(models) == ["green-nir", "only-red"]
    ensemble = eosfed.open_release(release)
    x = mean + std * torch.randn(2, len(BANDS), 64, 96, generator=torch.Generator().manual_seed(5))
    for at, (name, bands) in enumerate({"green-nir": ["green", "nir"], "only-red": ["red"]}.items()):
        with torch.no_grad():
            ours = ensemble.encoders[at](ensemble.encoder_input(at, x, BANDS))
            theirs = models[name](x[:, [BANDS.index(band) for band in bands]])
        for level, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()
            error = (a - b).abs().max().item() / a.abs().max().item()
            print(
                f"{units}, {name}, level {level}: cosine {cosine:.7f}, largest error {error:.1e} of the largest value"
            )
            assert cosine > 0.999999 and error < 1e-4, f"{name}, level {level}: cosine {cosine}, error {error}"


def test_an_export_says_what_was_folded_into_it(release: Path, tmp_path: Path) -> None:
    eosfed.export_eosfm(release, tmp_path / "ensemble.pth")
    configs = [config for _, _, config in torch.load(tmp_path / "ensemble.pth")]
    assert configs[0]["bands"] == ["green", "nir"] and configs[0]["folded_std"] == [0.5, 0.5]
    assert configs[0]["folded_mean"] == pytest.approx([0.2, 0.3]) and configs[0]["licence"] == "CC0-1.0"
    # A reader of these names would normalise a second time.
    assert not any({"mean", "std"} & set(config) for config in configs)


def refused(release: Path, **arguments: object) -> str:
    with pytest.raises(eosfed.ReleaseError) as error:
        eosfed.open_release(release, **arguments)(images(), BANDS)  # type: ignore[arg-type]
    return str(error.value)


def test_a_damaged_release_is_refused(release: Path) -> None:
    weights = release / "only-red" / "weights.safetensors"
    assert "there is no specialist `blue`; there are green-nir, only-red" in refused(release, specialists=["blue"])
    good = weights.read_bytes()
    weights.write_bytes(good[:-1])
    assert "only-red" in refused(release) and "found `sha256:" in refused(release)
    tensors = load_file(release / "green-nir" / "weights.safetensors")
    save_file(tensors, weights)
    assert "convnextv2_atto with 1 bands" in refused(release, verify=False)
    save_file({key: value.half() for key, value in tensors.items()}, weights)
    assert "32-bit floats" in refused(release, verify=False)
    weights.unlink()
    assert "pull it again" in refused(release)
    (release / "release.json").write_text("{")
    assert "not JSON" in refused(release)


def test_images_that_do_not_fit_are_refused(release: Path) -> None:
    ensemble = eosfed.open_release(release)
    for x, bands, text in [
        (images()[:, :2], ["red", "green"], "there is no band for `nir` among red, green"),
        (images(), ["red"], "images must be [N, 1, H, W]"),
        (images()[..., :50], BANDS, "multiples of 32, found 64x50"),
    ]:
        with pytest.raises(eosfed.ReleaseError) as error:
            ensemble(x, bands)
        assert text in str(error.value)


def test_cards_cannot_point_elsewhere(release: Path) -> None:
    path = release / "release.json"
    manifest = json.loads(path.read_text())
    manifest["specialists"][0]["name"] = "../elsewhere"
    path.write_text(json.dumps(manifest))
    assert "a specialist's name is letters" in refused(release)
