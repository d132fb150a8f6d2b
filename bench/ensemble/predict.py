#!/usr/bin/env python3
"""The row "predict of a scene" of `make bench`: the trainer beside TerraTorch's tiled inference, over the same encoders
and the same head of four encoders, of which it has chosen two.

Both read the same file and write a compressed map. Windows of 224 pixels share 32. TerraTorch reads the scene whole, as
its tiled inference takes it. It is measured twice: `all` runs the four encoders and weights their maps, as the published
EoS-FM does; `chosen` skips the encoders that have not been chosen, as the trainer does. Compared is processor time: of
the whole trainer, and of TerraTorch without the import of its libraries, which takes several seconds. Wall time is shown
with everything. Fails when the ratio or the memory (VmHWM of the trainer) misses its target.

    python bench/ensemble/predict.py --trainer target/release/eosfed-trainer
    python bench/ensemble/predict.py --trainer target/release/eosfed-trainer --side 10000 --rounds 1

Run by a Python with torch, timm, rasterio and TerraTorch, as that of `make interop`.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "python" / "src")]

from document import Targets, circumstances, median_ratio, publish, spread, table  # noqa: E402
from train_steps import measure  # noqa: E402

SCALE = 0.0001
# How many times as much processor time TerraTorch takes at least with all encoders, and our most memory.
LEAST, MOST_MB = 1.5, 1000


def tiled(asked: argparse.Namespace) -> None:
    """Maps the scene with TerraTorch's tiled inference."""
    import rasterio
    import torch
    from terratorch.tasks.tiled_inference import tiled_inference

    import eosfed
    import fixture

    torch.set_num_threads(asked.threads)
    start = time.process_time()
    model = eosfed.open_head(asked.head, asked.release)
    if asked.encoders == "all":
        model.ensemble.composer.chosen = lambda encoders: list(range(encoders))
        gates = torch.tensor([float(at in (model.ensemble.composer.strongest or [])) for at in range(4)])
        model.ensemble.composer.gates = lambda encoders: gates
    with rasterio.open(asked.scene) as file, torch.inference_mode():
        profile = file.profile | {"count": 1, "dtype": "uint8"}
        images = torch.from_numpy(file.read(out_dtype="float32")).mul_(SCALE)[None]
        outputs = tiled_inference(
            lambda x: model.answer(x, fixture.BANDS), images, out_channels=len(fixture.CLASSES), crop=fixture.SIDE,
            stride=fixture.SIDE - fixture.OVERLAP, delta=8, batch_size=asked.batch, device="cpu")
        answer = outputs.argmax(1)[0].to(torch.uint8).numpy()
    with rasterio.open(asked.output, "w", **profile) as file:
        file.write(answer[None])
    print(json.dumps({"processor_s": time.process_time() - start, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def trainer(asked: argparse.Namespace) -> None:
    """Maps the scene with the trainer, and watches its peak of memory."""
    import fixture

    words = [asked.trainer, "predict", "--head", asked.head, "--release", asked.release, "--image", asked.scene, "--bands",
             ",".join(fixture.BANDS), "--scale", SCALE, "--window", fixture.SIDE, "--overlap", fixture.OVERLAP, "--device",
             "cpu", "--threads", asked.threads, "--output", asked.output]
    child = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
    peak = 0
    status = pathlib.Path(f"/proc/{child.pid}/status")
    while child.poll() is None:
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        peak = max([peak, *(int(line.split()[1]) * 1024 for line in lines)])
        time.sleep(0.05)
    if child.returncode != 0:
        sys.exit(f"error: the trainer ended with {child.returncode}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"processor_s": used.ru_utime + used.ru_stime, "memory": peak}))


def agreement(one: pathlib.Path, other: pathlib.Path) -> float:
    """Share of pixels of the same class."""
    import rasterio

    with rasterio.open(one) as a, rasterio.open(other) as b:
        return float((a.read(1) == b.read(1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    parser.add_argument("--side", type=int, default=2000, help="side of the scene in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=5, help="windows at once in TerraTorch: as many as the trainer takes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--document", type=pathlib.Path, help="the file with the marks of `make bench-predict`")
    parser.add_argument("--part", choices=["trainer", "tiled"], help="run one side once")
    parser.add_argument("--encoders", choices=["all", "chosen"], default="all")
    for name in ("head", "release", "scene", "output"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    asked = parser.parse_args()
    if asked.part:
        {"trainer": trainer, "tiled": tiled}[asked.part](asked)
        return
    import fixture

    # Threads of OpenMP that wait for each other would be counted as work.
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        release, head = fixture.release(folder / "release", 4), folder / "head"
        data, scene = fixture.labelled(folder / "data", 8), fixture.scene(folder / "scene.tif", asked.side)
        subprocess.run([asked.trainer, "fit", "--release", release, "--data", data, "--select", "top-2", "--fuse", "conv1x1",
                        "--epochs", "1", "--threads", str(asked.threads), "--output", head], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        common = [sys.executable, __file__, "--trainer", asked.trainer, "--head", head, "--release", release, "--scene", scene,
                  "--threads", asked.threads, "--batch", asked.batch]
        programs = {
            "trainer": ["--part", "trainer", "--output", folder / "trainer.tif"],
            "TerraTorch, all encoders": ["--part", "tiled", "--encoders", "all", "--output", folder / "all.tif"],
            "TerraTorch, chosen encoders": ["--part", "tiled", "--encoders", "chosen", "--output", folder / "chosen.tif"],
        }
        found: dict[str, list[dict]] = {name: [] for name in programs}
        load = os.getloadavg()[0]
        for _ in range(asked.rounds):
            for name, words in programs.items():
                start = time.monotonic()
                found[name].append(measure([*common, *words]) | {"wall_s": time.monotonic() - start})
                print(f"  {name}: {found[name][-1]}", file=sys.stderr, flush=True)
        same = agreement(folder / "trainer.tif", folder / "all.tif")
    targets, lines = Targets(), []
    own = [run["processor_s"] for run in found["trainer"]]
    for name, runs in found.items():
        used = [run["processor_s"] for run in runs]
        lines.append([name, spread(used, 1), f"{median_ratio(used, own):.2f}", spread([run["wall_s"] for run in runs], 1),
                      spread([run["memory"] / 1e6 for run in runs], 0)])
    all_encoders = [run["processor_s"] for run in found["TerraTorch, all encoders"]]
    targets.at_least("processor time of TerraTorch with all encoders to ours", median_ratio(all_encoders, own), LEAST)
    targets.at_most("peak memory of the trainer in MB", max(run["memory"] for run in found["trainer"]) / 1e6, MOST_MB, 0)
    text = (f"{circumstances(load)} {asked.side}x{asked.side}x{len(fixture.BANDS)}, 4 encoders, top-2, {asked.threads} thread(s), "
            f"{asked.rounds} rounds in turn; medians, with the least and the most. The maps agree in {same:.1%} of the pixels.\n\n"
            + table(["program", "processor, s", "to the first", "clock, s", "peak memory, MB"], lines))
    publish(asked.document, "bench-predict", text, targets)


if __name__ == "__main__":
    main()
