#!/usr/bin/env python3
"""The row "end to end" of `make bench`: a training from GeoTIFF files, by the trainer and by PyTorch.

Made tiles of 64 x 64 pixels with 13 bands of 16 bits, as EuroSAT has them, in one folder for each class. Both sides
start as programs, read the files, and train ConvNeXtV2-atto for some epochs with the same settings on two threads.
PyTorch has a DataLoader with two workers, which read with rasterio, and timm's network in eager mode; it is given
the bands' moments, while the trainer reads all tiles for its own. They take turns; the median of the rounds is shown.
`again` is the trainer with the decoded samples that an earlier training kept.

    PYTHON bench/end_to_end.py --trainer target/release/eosfed-trainer

PYTHON has torch, timm and rasterio, as that of `make interop`.
"""

import argparse
import json
import math
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy
import rasterio

from document import Targets, circumstances, median_ratio, publish, spread, table
from reading import PROFILE, from_origin, texture

BACKBONE, THREADS, WORKERS, RATE = "convnextv2_atto", 2, 2, 1e-3
BANDS = ["coastal", "blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir09", "cirrus",
         "swir16", "swir22", "nir08"]
CLASSES = [f"class{at}" for at in range(10)]
SIDES = {"trainer": "trainer, which decodes the samples into its folder", "again": "trainer, with the samples that an earlier training kept",
         "PyTorch": "PyTorch, with its start"}
SHOWN = [("processor_s", "processor time"), ("wall_s", "time on the clock")]
# How many times as much PyTorch takes at least.
LEAST = 1.5


def make(folder: pathlib.Path, count: int) -> None:
    generator = numpy.random.default_rng(4)
    profile = PROFILE | {"width": 64, "height": 64, "count": len(BANDS), "transform": from_origin(5e5, 5e6, 10, 10)}
    for at in range(count):
        path = folder / "tiles" / CLASSES[at % len(CLASSES)] / f"{at:05}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(path, "w", **profile) as out:
            # The class is in the brightness.
            out.write(texture(generator, len(BANDS), 64) + numpy.uint16(200 * (at % len(CLASSES))))
    (folder / "dataset.toml").write_text(
        f'task = "classification"\nbands = {json.dumps(BANDS)}\nclasses = {json.dumps(CLASSES)}\nscale = 0.0001\n'
        '[layout]\nkind = "folders"\nroot = "tiles"\n[split]\nvalidation = 0.1\n')


def timed(words: list) -> dict:
    """Wall and processor time of a program that must succeed, with its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, words))} ended with {done.returncode}\n{done.stdout[-800:]}{done.stderr[-800:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "processor_s": processor}


def task(asked: argparse.Namespace, folder: pathlib.Path, cache: pathlib.Path, name: str) -> pathlib.Path:
    output = folder / name
    output.mkdir()
    model = {"backbone": BACKBONE, "task": "classification", "bands": BANDS, "classes": CLASSES}
    training = {"epochs": asked.epochs, "batch_size": asked.batch, "learning_rate": RATE, "augment": ["flip"]}
    words = {"training_target": {"specialist": model}, "training": training, "dataset": str(folder / "dataset.toml"),
             "initial": {"seed": 1}, "normalisation": None, "seed": 1, "schedule": [0.0, 1.0], "keep": "last",
             "device": "cpu", "threads": THREADS, "output": str(output),
             "samples": {"folder": str(cache), "bytes": 10**10}}
    path = output / "task.json"
    path.write_text(json.dumps(words))
    return path


def by_torch(folder: pathlib.Path, epochs: int, batch: int) -> None:
    """The same training with a DataLoader."""
    import timm
    import torch

    import timm_side

    class Tiles(torch.utils.data.Dataset):
        def __init__(self) -> None:
            files = sorted((folder / "tiles").glob("*/*.tif"))
            self.files = [file for at, file in enumerate(files) if at % 10]

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, at: int) -> tuple:
            with rasterio.open(self.files[at]) as image:
                pixels = image.read().astype(numpy.float32)
            if numpy.random.rand() < 0.5:
                pixels = pixels[:, :, ::-1].copy()
            return (torch.from_numpy(pixels) * 1e-4 - 0.3) / 0.1, CLASSES.index(self.files[at].parent.name)

    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    loader = torch.utils.data.DataLoader(Tiles(), batch, shuffle=True, num_workers=WORKERS, persistent_workers=True)
    model = timm.create_model(BACKBONE, pretrained=False, in_chans=len(BANDS), num_classes=len(CLASSES)).train()
    optimizer = timm_side.optimizer(model, RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * math.ceil(len(loader.dataset) / batch))
    for _ in range(epochs):
        for images, labels in loader:
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, help="eosfed-trainer")
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="a file for all numbers")
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-training`")
    parser.add_argument("--by-torch", type=pathlib.Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by_torch:
        return by_torch(asked.by_torch, asked.epochs, asked.batch)
    load, rows = os.getloadavg()[0], {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make(folder, asked.tiles)
        other = [sys.executable, __file__, "--by-torch", folder, "--epochs", asked.epochs, "--batch", asked.batch]
        for at in range(asked.rounds):
            cache = folder / f"cache-{at}"
            for which in ("trainer", "again"):
                rows[which].append(timed([asked.trainer, "train", task(asked, folder, cache, f"{which}-{at}")]))
            rows["PyTorch"].append(timed(other))
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    targets, lines = Targets(), []
    own = {key: [row[key] for row in rows["trainer"]] for key, _ in SHOWN}
    for side, runs in rows.items():
        line = [SIDES[side]]
        for key, name in SHOWN:
            values = [run[key] for run in runs]
            ratio = median_ratio(values, own[key])
            line += [spread(values, 1), f"{ratio:.2f}"]
            if side == "PyTorch":
                targets.at_least(f"{name} of PyTorch to ours", ratio, LEAST)
        lines.append(line)
    text = (f"{circumstances(load)} {asked.tiles} tiles of 64x64x{len(BANDS)}, {asked.epochs} epochs, batches of {asked.batch}, "
            f"{THREADS} threads: seconds, median of {asked.rounds} rounds in turn, with the least and the most.\n\n"
            + table(["program", "processor", "to the first", "clock", "to the first"], lines))
    publish(asked.document, "bench-training", text, targets)


if __name__ == "__main__":
    main()
