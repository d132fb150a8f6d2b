"""Makes the golden files of UPerNet, selection and fusion, from plain PyTorch modules written from the papers.

Run with `make goldens`. UPerNet is laid out as mmsegmentation does it, with group normalisation; normalisation,
projection and fusion are torch's own modules, put together as the published EoS-FM encoder does.
"""

import pathlib

import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
DIMS = [(8, 12, 16, 20), (8, 12, 16, 20), (8, 12, 16, 20)]
CHANNELS, CLASSES = 128, 3


class ConvNorm(nn.Module):
    def __init__(self, inputs: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, CHANNELS, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(x)))


class UperNet(nn.Module):
    def __init__(self, dims: tuple[int, ...], outputs: int):
        super().__init__()
        self.ppm = nn.ModuleList(ConvNorm(dims[3], 1) for _ in (1, 2, 3, 6))
        self.bottleneck = ConvNorm(dims[3] + 4 * CHANNELS, 3)
        self.lateral = nn.ModuleList(ConvNorm(dim, 1) for dim in dims[:3])
        self.fpn = nn.ModuleList(ConvNorm(CHANNELS, 3) for _ in range(3))
        self.fuse = ConvNorm(4 * CHANNELS, 3)
        self.classify = nn.Conv2d(CHANNELS, outputs, 1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        def to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
            return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)

        top = maps[3]
        pooled = [to(conv(F.adaptive_avg_pool2d(top, scale)), top) for conv, scale in zip(self.ppm, (1, 2, 3, 6))]
        levels = [conv(map) for conv, map in zip(self.lateral, maps)] + [self.bottleneck(torch.cat([top, *pooled], 1))]
        for level in (2, 1, 0):
            levels[level] = levels[level] + to(levels[level + 1], levels[level])
        levels = [conv(level) for conv, level in zip(self.fpn, levels)] + [levels[3]]
        return self.classify(self.fuse(torch.cat([to(level, levels[0]) for level in levels], 1)))


def randomise(module: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for tensor in module.parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(tensor + 0.3 * noise if tensor.dim() == 1 else 0.1 * noise)


def wave(tensor: torch.Tensor, phase: int) -> torch.Tensor:
    """Values that the test can make too, so that a large decoder need not be kept: a sine over the index."""
    values = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) * 0.7312 + phase)
    return (1.0 + 0.3 * values if tensor.dim() == 1 else 0.1 * values).to(torch.float32).view(tensor.shape)


def main() -> None:
    generator = torch.Generator().manual_seed(7)
    tensors: dict[str, torch.Tensor] = {}
    maps = [[torch.randn(2, dim, 24 >> level, 32 >> level, generator=generator) for level, dim in enumerate(dims)] for dims in DIMS]
    for encoder, levels in enumerate(maps):
        tensors |= {f"map.{encoder}.{level}": map for level, map in enumerate(levels)}

    decoder = UperNet(DIMS[0], CLASSES)
    state = decoder.state_dict()
    decoder.load_state_dict({name: wave(state[name], phase) for phase, name in enumerate(sorted(state))})
    with torch.no_grad():
        tensors["upernet"] = decoder(maps[0])

        # Normalisations of the first encoder's third map, by torch's own modules.
        map = maps[0][2]
        batch = nn.BatchNorm2d(map.shape[1], affine=False).eval()
        batch.running_mean, batch.running_var = torch.randn(16, generator=generator), torch.rand(16, generator=generator) + 0.5
        tensors |= {"moments.mean": batch.running_mean, "moments.var": batch.running_var}
        tensors["norm.batch"] = batch(map)
        tensors["norm.layer"] = nn.GroupNorm(1, map.shape[1], affine=False)(map)
        tensors["norm.pixel"] = F.layer_norm(map.permute(0, 2, 3, 1), (16,), eps=1e-6).permute(0, 3, 1, 2)

        # Selection and fusion at every level: projected, weighed, fused.
        weights = torch.tensor([0.3, 1.7, 0.9])
        tensors["w.select.weight"] = weights
        gates = {"top2": torch.tensor([0.0, 1.0, 1.0]), "top2-scaled": torch.tensor([0.0, 1.7, 0.9]),
                 "smooth": torch.sigmoid(weights), "smooth-scaled": weights}
        for level in range(4):
            dim = DIMS[0][level]
            projections = [nn.Conv2d(dim, dim, 1) for _ in DIMS]
            conv = nn.Conv2d(3 * dim, 2 * dim, 1)
            mlp = nn.Sequential(nn.Conv2d(3 * dim, 3 * dim * 5 // 4, 1), nn.ReLU(), nn.Conv2d(3 * dim * 5 // 4, dim, 1))
            for module in (*projections, conv, mlp):
                randomise(module, generator)
            for encoder, projection in enumerate(projections):
                tensors |= {f"w.project.{encoder}.{level}.{name}": value for name, value in projection.state_dict().items()}
            tensors |= {f"conv.fuse.{level}.{name}": value for name, value in conv.state_dict().items()}
            for part, layer in (("fc1", mlp[0]), ("fc2", mlp[2])):
                tensors |= {f"mlp.fuse.{level}.{part}.{name}": value for name, value in layer.state_dict().items()}
            projected = [F.leaky_relu(projections[at](maps[at][level])) for at in range(3)]
            for name, gate in gates.items():
                weighed = [g * map for g, map in zip(gate, projected)]
                tensors[f"out.{name}.concatenate.{level}"] = torch.cat(weighed, 1)
                tensors[f"out.{name}.sum.{level}"] = torch.stack(weighed).sum(0)
                tensors[f"out.{name}.conv.{level}"] = conv(torch.cat(weighed, 1))
                tensors[f"out.{name}.mlp.{level}"] = mlp(torch.cat(weighed, 1))
                factors = [1 + g * (map - 1) for g, map in zip(gate, projected)]
                tensors[f"out.{name}.product.{level}"] = torch.stack(factors).prod(0)
    # One value in seven of the large outputs is enough, and keeps the file small.
    small = {name: value.flatten()[::7] if name.startswith("out.") else value for name, value in tensors.items()}
    safetensors.torch.save_file({name: value.contiguous() for name, value in small.items()}, HERE / "composition.safetensors")
    print(f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
