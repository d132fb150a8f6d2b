"""Makes training.json: mixup and cutmix, the average of weights and the layers' learning rates of timm.

Run with `make goldens`, which installs torch and timm into a throw-away environment.
"""

import json
import pathlib

import numpy as np
import timm
import torch
from timm.data.mixup import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.models.convnext import ConvNeXt
from timm.optim import param_groups_layer_decay
from timm.utils import ModelEmaV3

HERE = pathlib.Path(__file__).parent
SHAPE = (4, 1, 6, 8)
CLASSES = 3
SMOOTHING = 0.1


class Recorded:
    """Stands for numpy's generator, and keeps what was drawn."""

    def __init__(self, seed):
        self.generator = np.random.RandomState(seed)
        self.betas, self.integers = [], []

    def rand(self, *shape):
        return self.generator.rand(*shape)

    def beta(self, a, b, size=None):
        self.betas.append(self.generator.beta(a, b, size))
        return self.betas[-1]

    def randint(self, low, high, size=None):
        self.integers.append(int(self.generator.randint(low, high, size)))
        return self.integers[-1]


def mixing():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(SHAPE, generator=generator)
    logits = torch.randn(SHAPE[0], CLASSES, generator=generator)
    labels = torch.tensor([0, 1, 2, 1])
    mixes = []
    for seed in (0, 2, 3, 6):
        recorded, real = Recorded(seed), np.random
        mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=SMOOTHING, num_classes=CLASSES)
        for name in ("rand", "beta", "randint"):
            setattr(recorded, f"_{name}", getattr(real, name))
            setattr(real, name, getattr(recorded, name))
        try:
            mixed, targets = mixup(images.clone(), labels)
        finally:
            for name in ("rand", "beta", "randint"):
                setattr(real, name, getattr(recorded, f"_{name}"))
        cuts = bool(recorded.integers)
        drawn = float(recorded.betas[0])
        own = drawn
        if cuts:
            # An image's own share of the labels: what smoothing leaves of it.
            off = SMOOTHING / CLASSES
            own = float((targets[0, 0].double() - off) / (1 - SMOOTHING))
            own = round(own * SHAPE[2] * SHAPE[3]) / (SHAPE[2] * SHAPE[3])
        mixes.append({
            "cuts": cuts,
            "drawn": drawn,
            "centre": recorded.integers or [0, 0],
            "own": own,
            "images": mixed.flatten().tolist(),
            "loss": float(SoftTargetCrossEntropy()(logits, targets)),
        })
    return {
        "shape": SHAPE, "images": images.flatten().tolist(), "labels": labels.tolist(),
        "logits": logits.flatten().tolist(), "classes": CLASSES, "smoothing": SMOOTHING, "mixes": mixes,
    }


def average():
    generator = torch.Generator().manual_seed(2)
    model = torch.nn.Linear(5, 1, bias=False)
    start = model.weight.detach().flatten().tolist()
    ema = ModelEmaV3(model, decay=0.9)
    steps = []
    for step in range(1, 6):
        with torch.no_grad():
            model.weight.copy_(torch.randn(1, 5, generator=generator))
        # As timm's training script does it.
        ema.update(model, step=step)
        steps.append([model.weight.detach().flatten().tolist(), ema.module.weight.flatten().tolist()])
    return {"decay": 0.9, "start": start, "steps": steps}


def layers():
    depths, decay = (1, 2, 3, 1), 0.7
    model = ConvNeXt(depths=depths, dims=(8, 8, 8, 8), in_chans=3, num_classes=CLASSES, conv_mlp=True, use_grn=True,
                     ls_init_value=None)
    names = {id(tensor): name for name, tensor in model.named_parameters()}
    groups = param_groups_layer_decay(model, layer_decay=decay)
    scales = {names[id(tensor)]: group["lr_scale"] for group in groups for tensor in group["params"]}
    return {"depths": depths, "decay": decay, "scales": dict(sorted(scales.items()))}


def main() -> None:
    found = {"average": average(), "layers": layers(), "mixing": mixing()}
    (HERE / "training.json").write_text(json.dumps(found) + "\n")
    print(f"timm {timm.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
