#!/usr/bin/env python3
"""The row "features of 8 specialists" of `make bench`: the trainer beside timm in eager mode, same weights, one batch.

The programs take turns (A B A B ...), as in train_steps.py. Compared is processor time of a batch, median of rounds.

    python bench/ensemble/features.py --features target/release/examples/features

Run by a Python with torch, timm and rasterio, as that of `make interop`.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from document import Targets, circumstances, median_ratio, publish, spread, table  # noqa: E402
from train_steps import measure  # noqa: E402

# How many times as much processor time timm takes at least.
LEAST = 1.5


def eager(asked: argparse.Namespace) -> None:
    """Measures timm's encoders in eager mode: each image normalised, then through one encoder after the other."""
    import timm
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(asked.threads)
    cards = json.loads((asked.release / "release.json").read_text())["specialists"]
    models = []
    for card in cards:
        bands = len(card["model"]["bands"])
        plain = timm.create_model(card["model"]["backbone"], in_chans=bands, num_classes=4, pretrained=False)
        plain.load_state_dict(load_file(asked.release / card["name"] / "weights.safetensors"), strict=True)
        mean, std = (torch.tensor([entry[k] for entry in card["normalisation"]])[:, None, None] for k in ("mean", "std"))
        models.append((plain.eval(), mean, std))
    images = torch.rand(asked.batch, len(cards[0]["model"]["bands"]), asked.size, asked.size)

    def run() -> None:
        for model, mean, std in models:
            x = model.stem(((images - mean) / std).nan_to_num(0.0))
            for stage in model.stages:
                x = stage(x)

    with torch.inference_mode():
        run()
        wall, start, done = time.monotonic(), time.process_time(), 0
        while time.monotonic() - wall < asked.seconds:
            run()
            done += 1
    print(json.dumps({"processor_ms": (time.process_time() - start) * 1000 / done}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=pathlib.Path, help="the trainer's example `features`")
    parser.add_argument("--release", type=pathlib.Path, help="measure timm's side once, over this release")
    parser.add_argument("--specialists", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-features`")
    asked = parser.parse_args()
    if asked.release:
        eager(asked)
        return
    import fixture

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        release = fixture.release(pathlib.Path(folder) / "release", asked.specialists)
        words = ["--release", release, "--size", asked.size, "--batch", asked.batch, "--threads", asked.threads,
                 "--seconds", asked.seconds]
        programs = {"trainer": [asked.features, *words], "timm eager": [sys.executable, __file__, *words]}
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(asked.rounds):
            for name, program in programs.items():
                times[name].append(measure(program)["processor_ms"])
    ratio, targets = median_ratio(times["timm eager"], times["trainer"]), Targets()
    targets.at_least("timm eager to ours", ratio, LEAST)
    text = (f"{circumstances(load)} {asked.specialists} specialists, a batch of {asked.batch} images of "
            f"{asked.size}x{asked.size}x{len(fixture.BANDS)}, f32, {asked.threads} thread(s): processor time in ms, median of "
            f"{asked.rounds} rounds in turn, with the least and the most.\n\n"
            + table(["program", "processor", "to the first"],
                    [["trainer", spread(times["trainer"], 0), ""], ["timm eager", spread(times["timm eager"], 0), f"{ratio:.2f}"]]))
    publish(asked.document, "bench-features", text, targets)


if __name__ == "__main__":
    main()
