#!/usr/bin/env python3
"""Trains a specialist on each of several public data sets and compares it with trivial answers.

    python3 deploy/real_data/train.py --data DIR --bin-dir target/release --output real-data

DIR holds any of these folders (small parts of them suffice; those that are missing are skipped by name):

    eurosat-ms/CLASS/*.tif        EuroSAT, 13 bands of Sentinel-2 L1C with B8A last (Helber et al. 2019)
    eurosat-rgb/CLASS/*.jpg       EuroSAT, red, green, blue
    bigearthnet-v2/{s2,s1,mask19}/*.tif, labels.csv, classes19.json    reBEN (Clasen et al. 2024)
    biomassters/{s2,s1}/CHIP_MM.tif, agbm/CHIP.tif                     BioMassters (Nascetti et al. 2023)
    dubai-aerial-seg/{images,masks}/*, classes.json                    Humans in the Loop, Dubai

For each it writes `dataset.toml` and `task.json`, runs `eosfed-trainer baseline` and `eosfed-trainer train`, and
collects the scores on the validation part in `results.md`. Nothing but Python's standard library is needed.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import time

RGB = ["red", "green", "blue"]
EUROSAT = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"]
MAIN = {"classification": "macro_f1", "multilabel": "map", "segmentation": "miou", "regression": "rmse"}


def classes_of(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def named_classes(path: pathlib.Path) -> list[str]:
    table = json.loads(path.read_text())
    return [table[str(index)]["name"] for index in range(len(table))]


def eurosat(data: pathlib.Path, name: str, bands: list[str], scale: float, training: dict) -> dict:
    root = data / name
    return {
        "task": "classification", "bands": bands, "classes": classes_of(root), "scale": scale,
        "layout": {"kind": "folders", "root": str(root)}, "split": {"validation": 0.3}, "training": training,
    }


def bigearthnet(data: pathlib.Path, work: pathlib.Path, task: str, sources: list[str], training: dict) -> dict:
    root = data / "bigearthnet-v2"
    bands = {"s2": ["B02", "B03", "B04", "B08"], "s1": ["VV", "VH"]}
    rows = list(csv.DictReader((root / "labels.csv").open()))
    classes = named_classes(root / "classes19.json")
    table = work / "index.csv"
    present = {name for row in rows for name in row["labels_ge_1pct"].split(";")}
    chosen = classes if task == "segmentation" else [name for name in classes if name in present]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*sources, "target"])
        for row in rows:
            images = [str(root / source / f"{row['patch']}.tif") for source in sources]
            target = row["labels_ge_1pct"] if task == "multilabel" else str(root / "mask19" / f"{row['patch']}.tif")
            writer.writerow([*images, target])
    return {
        "task": task, "bands": [band for source in sources for band in bands[source]], "classes": chosen,
        "layout": {"kind": "table", "file": "index.csv", "images": sources, "target": "target"},
        "split": {"validation": 0.3}, "training": training,
    }


def biomassters(data: pathlib.Path, work: pathlib.Path, training: dict) -> dict:
    root = data / "biomassters"
    chips = sorted({path.stem.split("_")[0] for path in (root / "s2").glob("*.tif")})
    with (work / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["s2", "s1", "target", "part"])
        for image in sorted((root / "s2").glob("*.tif")):
            chip = image.stem.split("_")[0]
            # A chip is one place in several months: it stays in one part.
            part = "validation" if chip == chips[1] else "train"
            writer.writerow([image, root / "s1" / image.name, root / "agbm" / f"{chip}.tif", part])
    bands = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "CLP"]
    radar = ["VV_asc", "VH_asc", "VV_desc", "VH_desc"]
    return {
        "task": "regression", "bands": bands + radar, "use": bands[:-1] + radar, "classes": ["biomass"], "nodata": -9999.0,
        "layout": {"kind": "table", "file": "index.csv", "images": ["s2", "s1"], "target": "target", "split": "part", "tile": 64, "stride": 32},
        "split": {"validation": 0.0}, "training": training,
    }


def dubai(data: pathlib.Path, training: dict) -> dict:
    root = data / "dubai-aerial-seg"
    classes = [name for name in named_classes(root / "classes.json") if name != "Unlabeled"]
    return {
        "task": "segmentation", "bands": RGB, "classes": classes, "mask_values": list(range(len(classes))),
        "layout": {"kind": "pairs", "images": str(root / "images"), "masks": str(root / "masks"), "tile": 256},
        "split": {"validation": 0.3}, "training": training,
    }


def training(epochs: int, batch_size: int = 8, learning_rate: float = 1e-3, **others: object) -> dict:
    return {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "drop_path": 0.1,
            "augment": ["flip", "rotate90", "jitter"], **others}


def jobs(data: pathlib.Path, work: pathlib.Path) -> dict:
    """Name, needed folder and description of each training."""

    def make(name: str, needs: str, build) -> tuple:
        folder = work / name
        return name, (data / needs).is_dir(), folder, build

    return [
        make("eurosat-ms", "eurosat-ms", lambda _: eurosat(data, "eurosat-ms", EUROSAT, 1e-4, training(120))),
        make("eurosat-rgb", "eurosat-rgb", lambda _: eurosat(data, "eurosat-rgb", RGB, 1 / 255, training(15, 16))),
        make("bigearthnet-labels-s2", "bigearthnet-v2",
             lambda folder: bigearthnet(data, folder, "multilabel", ["s2"], training(60, input_size=128))),
        make("bigearthnet-labels-s2-s1", "bigearthnet-v2",
             lambda folder: bigearthnet(data, folder, "multilabel", ["s2", "s1"], training(60, input_size=128))),
        make("bigearthnet-cover-s2", "bigearthnet-v2",
             lambda folder: bigearthnet(data, folder, "segmentation", ["s2"], training(20, input_size=128, crop=96, loss=["cross_entropy", "dice"]))),
        make("bigearthnet-labels-s1", "bigearthnet-v2",
             lambda folder: bigearthnet(data, folder, "multilabel", ["s1"], training(30, input_size=128, loss=["focal"]))),
        make("biomassters", "biomassters", lambda folder: biomassters(data, folder, training(8, loss=["huber"]))),
        make("dubai", "dubai-aerial-seg", lambda _: dubai(data, training(12, input_size=128))),
    ]


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def run(name: str, folder: pathlib.Path, job: dict, trainer: pathlib.Path, threads: int, seed: int) -> dict:
    settings = job.pop("training")
    use = job.pop("use", job["bands"])
    (folder / "dataset.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in job.items()))
    baseline = [str(trainer), "baseline", "--data", str(folder), "--format", "json"]
    if "input_size" in settings:
        baseline += ["--input-size", str(settings["input_size"])]
    said = subprocess.run(baseline, capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(f"error: {name}: {said.stderr}")
    report = json.loads(said.stdout)
    (folder / "baseline.json").write_text(json.dumps(report, indent=1))
    model = {"backbone": "convnextv2_atto", "task": job["task"], "bands": use, "classes": job["classes"]}
    if job["task"] == "regression":
        model["target"] = {"offset": 60.0, "scale": 60.0, "unit": "t/ha"}
    task = {
        "training_target": {"specialist": model}, "training": settings, "dataset": str(folder / "dataset.toml"), "initial": {"seed": seed},
        "normalisation": None, "seed": seed, "schedule": [0.0, 1.0], "keep": "last", "device": "auto",
        "threads": threads, "output": str(folder),
    }
    (folder / "task.json").write_text(json.dumps(task, indent=1))
    started = time.monotonic()
    done = subprocess.run([str(trainer), "train", str(folder / "task.json")], capture_output=True, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0:
        sys.exit(f"error: {name}: {events[-1] if events else done.stderr}")
    (folder / "events.jsonl").write_text(done.stdout)
    main = MAIN[job["task"]]
    return {
        "name": name, "task": job["task"], "metric": main, "samples": [report["training_samples"], report["samples"]],
        "network": events[-1]["metrics"][main], "trivial": [entry["metrics"][main] for entry in report["baselines"]],
        "seconds": time.monotonic() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--bin-dir", required=True, type=pathlib.Path)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    parser.add_argument("--only", help="names joined by commas")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data, work = arguments.data.resolve(), arguments.output.resolve()
    wanted = arguments.only.split(",") if arguments.only else None
    lines = ["| specialist | task | training / validation samples | metric | network | constant answer | linear model | seconds |",
             "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |"]
    for name, there, folder, build in jobs(data, work):
        if wanted and name not in wanted:
            continue
        if not there:
            print(f"{name}: skipped, its folder is not in {data}", flush=True)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        row = run(name, folder, build(folder), arguments.bin_dir / "eosfed-trainer", arguments.threads, arguments.seed)
        (folder / "result.json").write_text(json.dumps(row, indent=1))
        trivial = " | ".join(f"{value:.3f}" for value in row["trivial"])
        samples = " / ".join(map(str, row["samples"]))
        lines.append(f"| {name} | {row['task']} | {samples} | {row['metric']} | {row['network']:.3f} | {trivial} | {row['seconds']:.0f} |")
        print(lines[-1], flush=True)
    (work / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
