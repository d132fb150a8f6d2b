"""Makes the golden files of the network tests from timm, with tiny random ConvNeXtV2 variants.

Run with `make goldens`, which installs torch and timm into a throw-away environment. The files are
small and committed; run it again only when a variant is added, and say so in the change.
"""

import pathlib

import safetensors.torch
import timm
import torch
from timm.models.convnext import ConvNeXt

HERE = pathlib.Path(__file__).parent
VARIANTS = {
    "conv_mlp_3_bands": dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), in_chans=3, conv_mlp=True),
    "linear_mlp_6_bands": dict(depths=(2, 1, 1, 1), dims=(8, 12, 16, 24), in_chans=6, conv_mlp=False),
}
CLASSES = 5


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Gives every tensor values that matter: GRN starts at zero, which would hide its mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(tensor + 0.3 * noise if tensor.dim() == 1 else 0.2 * noise)


def main() -> None:
    for seed, (name, arguments) in enumerate(VARIANTS.items()):
        model = ConvNeXt(num_classes=CLASSES, use_grn=True, ls_init_value=None, **arguments).eval()
        randomise(model, seed)
        image = torch.randn(2, arguments["in_chans"], 64, 96, generator=torch.Generator().manual_seed(100 + seed))
        with torch.no_grad():
            x, maps = model.stem(image), []
            for stage in model.stages:
                x = stage(x)
                maps.append(x.contiguous())
            logits = model(image)
        tensors = {f"w.{key}": value.contiguous() for key, value in model.state_dict().items()}
        tensors |= {f"map.{index}": value for index, value in enumerate(maps)}
        tensors |= {"image": image, "logits": logits}
        safetensors.torch.save_file(tensors, HERE / f"{name}.safetensors")
    print(f"timm {timm.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
