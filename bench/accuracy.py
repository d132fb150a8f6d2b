#!/usr/bin/env python3
"""The same training by the trainer and by PyTorch with timm: how good the results are, and how much they vary.

    PYTHON bench/accuracy.py --trainer target/release/eosfed-trainer --images FOLDER

FOLDER holds RGB images in one folder for each class, such as EuroSAT's. A fifth of each class is held out. Both
sides train ConvNeXtV2-atto from nothing on the others, with the same settings, once for each seed, and the
accuracy of the last epoch's weights on what was held out is shown: nothing is chosen by it.
PYTHON has torch, timm and Pillow, as that of `make interop`.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy
import timm
import torch
from PIL import Image

import timm_side

BACKBONE, BANDS = "convnextv2_atto", ["red", "green", "blue"]
WARMUP, CLIP = 0.05, 1.0


def divide(folder: pathlib.Path, most: int) -> tuple[list[str], list[tuple[pathlib.Path, str, str]]]:
    """The classes, and each image with its class and its part: every fifth is held out."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    rows = []
    for name in classes:
        files = sorted((folder / name).iterdir())[:most]
        rows += [(file, name, "train" if at % 5 else "validation") for at, file in enumerate(files)]
    return classes, rows


def by_trainer(asked: argparse.Namespace, folder: pathlib.Path, classes: list[str], seed: int) -> float:
    """Accuracy on the held-out part after the trainer's last epoch."""
    output = folder / f"run-{seed}"
    output.mkdir()
    model = {"backbone": BACKBONE, "task": "classification", "bands": BANDS, "classes": classes}
    training = {"epochs": asked.epochs, "batch_size": asked.batch, "learning_rate": asked.rate,
                "weight_decay": timm_side.DECAY, "warmup": WARMUP, "clip_norm": CLIP, "augment": ["flip", "rotate90"]}
    task = {"training_target": {"specialist": model}, "training": training, "dataset": str(folder / "dataset.toml"),
            "initial": {"seed": seed}, "normalisation": None, "seed": seed, "schedule": [0.0, 1.0], "keep": "last",
            "device": "cpu", "threads": asked.threads, "output": str(output)}
    (output / "task.json").write_text(json.dumps(task))
    done = subprocess.run([asked.trainer, "train", output / "task.json"], capture_output=True, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    if done.returncode != 0 or not epochs:
        sys.exit(f"error: the trainer ended with {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return epochs[-1]["metrics"]["accuracy"]


def part(rows: list, classes: list[str], which: str) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = [(file, name) for file, name, where in rows if where == which]
    pixels = numpy.stack([numpy.asarray(Image.open(file).convert("RGB")) for file, _ in chosen])
    labels = torch.tensor([classes.index(name) for _, name in chosen])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), labels


def turned(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image in one of its eight orientations."""
    out = images.clone()
    choice = torch.randint(8, (len(images),), generator=generator)
    for at in range(8):
        these = choice == at
        view = images[these].rot90(at % 4, (-2, -1))
        out[these] = view.flip(-1) if at >= 4 else view
    return out


def learning_rate(highest: float, progress: float) -> float:
    if progress < WARMUP:
        return highest * progress / WARMUP
    return highest * 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


def by_timm(asked: argparse.Namespace, data: dict, classes: list[str], seed: int) -> float:
    """Accuracy on the held-out part after the last epoch of timm's network."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    images, labels = data["train"]
    mean, std = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), keepdim=True)
    images = (images - mean) / std
    model = timm.create_model(BACKBONE, pretrained=False, num_classes=len(classes)).train()
    optimizer = timm_side.optimizer(model, asked.rate)
    step, steps = 0, asked.epochs * math.ceil(len(labels) / asked.batch)
    for _ in range(asked.epochs):
        for chosen in torch.randperm(len(labels), generator=generator).split(asked.batch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(asked.rate, step / steps)
            loss = torch.nn.functional.cross_entropy(model(turned(images[chosen], generator)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            step += 1
    model.eval()
    images, labels = data["validation"]
    with torch.no_grad():
        answers = torch.cat([model((part - mean) / std).argmax(1) for part in images.split(64)])
    return (answers == labels).double().mean().item()


def write_dataset(folder: pathlib.Path, images: pathlib.Path, classes: list[str], rows: list) -> None:
    with (folder / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "class", "part"])
        table.writerows([file.relative_to(images), name, where] for file, name, where in rows)
    (folder / "dataset.toml").write_text(
        f'task = "classification"\nbands = {json.dumps(BANDS)}\nclasses = {json.dumps(classes)}\n'
        f'[layout]\nkind = "table"\nfile = "table.csv"\nroot = {json.dumps(str(images))}\nimages = "image"\n'
        'target = "class"\nsplit = "part"\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True, help="a folder of images for each class")
    parser.add_argument("--per-class", type=int, default=1000, help="most images of a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    images = asked.images.resolve()
    classes, rows = divide(images, asked.per_class)
    data = {which: part(rows, classes, which) for which in ("train", "validation")}
    counts = {which: len(labels) for which, (_, labels) in data.items()}
    print(f"{len(classes)} classes, {counts['train']} images to learn from, {counts['validation']} held out; "
          f"{asked.epochs} epochs, batches of {asked.batch}, learning rate {asked.rate}", flush=True)
    found: dict[str, list[float]] = {"trainer": [], "timm": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_dataset(folder, images, classes, rows)
        for seed in range(1, asked.seeds + 1):
            found["trainer"].append(by_trainer(asked, folder, classes, seed))
            found["timm"].append(by_timm(asked, data, classes, seed))
            print(f"seed {seed}: trainer {found['trainer'][-1]:.3f}, timm {found['timm'][-1]:.3f}", flush=True)
    for side, values in found.items():
        print(f"{side}: mean {statistics.mean(values):.3f}, from {min(values):.3f} to {max(values):.3f}")
    if asked.json:
        asked.json.write_text(json.dumps({"found": found, "load": os.getloadavg()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
