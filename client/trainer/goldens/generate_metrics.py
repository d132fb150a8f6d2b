"""Makes `metrics.json`: random predictions and what torchmetrics says of them. Run with `make goldens`."""

import json
import pathlib

import torch
import torchmetrics
from torchmetrics import classification as tm
from torchmetrics import regression as tr

HERE = pathlib.Path(__file__).parent


def classes(generator: torch.Generator, count: int, samples: int, unused: int) -> dict:
    labels = torch.randint(0, count - unused, (samples,), generator=generator)
    labels[::11] = 255
    logits = torch.randn(samples, count, generator=generator)
    logits[torch.arange(samples), labels.clamp(max=count - 1)] += 1.0
    logits[:, count - unused:] = -9.0
    known = labels != 255
    arguments = (logits.argmax(1)[known], labels[known])
    scores = {
        "accuracy": tm.MulticlassAccuracy(count, average="micro"),
        "macro_f1": tm.MulticlassF1Score(count, average="macro"),
        "miou": tm.MulticlassJaccardIndex(count, average="macro"),
    }
    return {"classes": count, "labels": labels.tolist(), "outputs": logits.flatten().tolist(),
            "scores": {name: metric(*arguments).item() for name, metric in scores.items()}}


def labels(generator: torch.Generator, count: int, samples: int, unused: int) -> dict:
    truth = (torch.rand(samples, count, generator=generator) < 0.3).long()
    truth[:, count - unused:] = 0
    # Rounded, so that some scores are equal.
    logits = ((torch.randn(samples, count, generator=generator) + 1.5 * truth) * 4).round() / 4 + 0.1
    if unused:
        logits[:, -1] = -5.0
    scores = {
        "map": tm.MultilabelAveragePrecision(count, average="macro"),
        "macro_f1": tm.MultilabelF1Score(count, average="macro"),
        "accuracy": tm.MultilabelAccuracy(count, average="micro"),
    }
    probabilities = torch.sigmoid(logits)
    return {"classes": count, "labels": truth.flatten().tolist(), "outputs": logits.flatten().tolist(),
            "scores": {name: metric(probabilities, truth).item() for name, metric in scores.items()}}


def values(generator: torch.Generator, samples: int) -> dict:
    truth = torch.randn(samples, generator=generator)
    found = truth + 0.5 * torch.randn(samples, generator=generator)
    scores = {"rmse": tr.MeanSquaredError(squared=False), "mae": tr.MeanAbsoluteError(), "r2": tr.R2Score()}
    return {"labels": truth.tolist(), "outputs": found.tolist(),
            "scores": {name: metric(found, truth).item() for name, metric in scores.items()}}


def main() -> None:
    generator = torch.Generator().manual_seed(3)
    golden = {
        "classes": [classes(generator, 5, 120, 0), classes(generator, 6, 90, 2)],
        "labels": [labels(generator, 4, 80, 0), labels(generator, 5, 60, 1)],
        "values": [values(generator, 100)],
    }
    (HERE / "metrics.json").write_text(json.dumps(golden) + "\n")
    print(f"torchmetrics {torchmetrics.__version__}")


if __name__ == "__main__":
    main()
