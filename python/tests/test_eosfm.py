"""The reference's file, opened again. Its layout is the one that `export_eosfm` documents."""

import pickle
from pathlib import Path

import pytest
import timm
import torch
from conftest import BACKBONE, plain_model
from test_release import BANDS, images

import eosfed
from eosfed.specialist import features_only_name


def test_a_release_goes_through_the_file_and_back(release: Path, tmp_path: Path) -> None:
    path, again = tmp_path / "ensemble.pth", tmp_path / "again.pth"
    eosfed.export_eosfm(release, path)
    opened = eosfed.open_eosfm(path)
    x = images()
    x[:, :, :5, :7] = float("nan")
    for ours, theirs in zip(opened(x, BANDS), eosfed.open_release(release)(x, BANDS), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    opened.save(again)
    for (count, state, config), (count2, state2, config2) in zip(torch.load(path), torch.load(again), strict=True):
        assert (count, config) == (count2, config2) and state.keys() == state2.keys()
        for name, tensor in state.items():
            torch.testing.assert_close(state2[name], tensor, atol=1e-6, rtol=1e-6)


def foreign(path: Path, **changes: object) -> Path:
    """A file as another program writes it: no bands, no normalisation."""
    state = plain_model(2, 0, 3).state_dict()
    state = {features_only_name(n): t for n, t in state.items() if n.startswith(("stem.", "stages."))}
    entry = {"in_chans": 2, "state": state, "config": {"backbone": f"timm_{BACKBONE}", "encoder_name": "sar"}} | changes
    torch.save([(entry["in_chans"], entry["state"], entry["config"])], path)
    return path


def test_a_file_without_bands_is_told_them(tmp_path: Path) -> None:
    path = foreign(tmp_path / "foreign.pth")
    with pytest.raises(eosfed.ReleaseError, match=r"`sar` takes 2 bands, and 0 are named; .* bands=\{'sar'"):
        eosfed.open_eosfm(path)
    opened = eosfed.open_eosfm(path, bands={"sar": ["VV", "VH"]})
    x = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(1))
    ((_, state, _),) = torch.load(path)
    model = timm.create_model(BACKBONE, in_chans=2, features_only=True, pretrained=False).eval()
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        for ours, theirs in zip(opened.encoder_maps(x, ["VV", "VH"])[0], model(x), strict=True):
            assert torch.equal(ours, theirs)
    opened.save(tmp_path / "again.pth")
    for name, tensor in torch.load(tmp_path / "again.pth")[0][1].items():
        assert torch.equal(tensor, state[name]), name


class Code:
    """A pickle that would run a program when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def test_files_that_are_not_what_they_should_be_are_refused(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(eosfed.ReleaseError) as error:
            eosfed.open_eosfm(path, bands={"sar": ["VV", "VH"]})
        return str(error.value)

    mark, evil = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save([(2, {}, {"x": Code(mark)})], evil)
    assert "never opened" in refused(evil) and not mark.exists()
    evil.write_bytes(pickle.dumps(Code(mark)))
    assert "never opened" in refused(evil) and not mark.exists()
    whole = foreign(tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(whole[: len(whole) // 2])
    assert "a.pth" in refused(tmp_path / "a.pth")
    assert "No such file" in refused(tmp_path / "nowhere.pth")
    torch.save({"model": {}}, tmp_path / "b.pth")
    assert "found `dict`" in refused(tmp_path / "b.pth")
    assert "entry 0 must be (in_chans" in refused(foreign(tmp_path / "c.pth", in_chans=-1))
    assert "found `resnet50`" in refused(
        foreign(tmp_path / "d.pth", config={"backbone": "resnet50", "encoder_name": "sar"})
    )
    assert "convnextv2_atto with 2 bands" in refused(
        foreign(tmp_path / "e.pth", state={"stem_0.weight": torch.zeros(40, 2, 4, 4), "stem_0.bias": torch.zeros(40)})
    )
    config = {"backbone": f"timm_{BACKBONE}", "encoder_name": "sar", "folded_std": [0.0, 1.0]}
    assert "must be above 0" in refused(foreign(tmp_path / "f.pth", config=config))
