#!/usr/bin/env python3
"""Compares the trainer on CUDA with the trainer on the processor, on synthetic tiles.

    python3 bench/gpu/check.py --trainer target/release/eosfed-trainer --output gpu-check

Writes `check.json` after each step; a step that fails is a line in it, and the other steps still run. Needs
numpy and tifffile; with PyTorch, timm and safetensors the maps are compared with timm's in double
precision too. `--device cpu` tries the script itself without a GPU.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import traceback

import data
import numpy as np

# Set in the environment, since the trainer has no setting for it: cuDNN's convolutions use
# TF32 unless forbidden, cuBLAS's products only if told to.
TF32 = {
    "usual": {},
    "none": {"NVIDIA_TF32_OVERRIDE": "0"},
    "all": {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
}


class Check:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.trainer, self.device = arguments.trainer.resolve(), arguments.device
        self.folder = arguments.output.resolve()
        self.quick = arguments.quick
        self.found: dict = {}
        self.data = data.make(self.folder / "data", 96 if self.quick else 512, seed=7)

    def say(self, step: str, **found: object) -> None:
        self.found.setdefault(step, {}).update(found)
        (self.folder / "check.json").write_text(json.dumps(self.found, indent=1))
        print(step, json.dumps(found)[:600], flush=True)

    def run(self, *words: object, environment: dict | None = None, timeout: float = 120) -> subprocess.CompletedProcess:
        command = [str(self.trainer), *map(str, words)]
        env = {**os.environ, **(environment or {})}
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout)

    def task(self, name: str, task: str, device: str, model: dict | None = None, **training: object) -> pathlib.Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        spec = {"backbone": "convnextv2_atto", "task": task, "bands": data.BANDS, "classes": data.CLASSES, **(model or {})}
        settings = {"epochs": 2 if self.quick else 4, "batch_size": 32, "learning_rate": 1e-3,
                    "augment": ["flip", "rotate90", "jitter"], **training}
        path = folder / "task.json"
        path.write_text(json.dumps({
            "training_target": {"specialist": spec}, "training": settings, "dataset": str(self.data[task]), "initial": {"seed": 3},
            "normalisation": None, "seed": 5, "schedule": [0.0, 1.0], "keep": "last", "device": device, "threads": None,
            "output": str(folder),
        }))
        return path

    def train(self, path: pathlib.Path, environment: dict | None = None, stop_after: int | None = None, timeout: float = 180) -> dict:
        """Runs a task. Returns its events with their times in seconds, its exit code and the end of its log."""
        start = time.monotonic()
        log = (path.parent / "stderr.log").open("w")
        child = subprocess.Popen([str(self.trainer), "train", str(path)], stdout=subprocess.PIPE, stderr=log, text=True,
                                 env={**os.environ, **(environment or {})})
        events = []
        for line in child.stdout:
            events.append({"at": round(time.monotonic() - start, 3), **json.loads(line)})
            if stop_after and events[-1].get("epoch") == stop_after:
                child.send_signal(signal.SIGTERM)
            if time.monotonic() - start > timeout:
                child.kill()
        code = child.wait()
        (path.parent / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        return {"code": code, "seconds": time.monotonic() - start, "events": events,
                "said": (path.parent / "stderr.log").read_text()[-1500:]}


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else "none"


def curve(run: dict) -> list[dict]:
    return [{"loss": e["loss"], **e["metrics"]} for e in run["events"] if e["event"] == "epoch"]


def devices(check: Check) -> None:
    """The trainer's report about CUDA."""
    for name, words, env in [("auto", [], {}), ("cuda", ["--device", "cuda"], {}), ("hidden", [], {"CUDA_VISIBLE_DEVICES": ""})]:
        start = time.monotonic()
        done = check.run("device", *words, environment=env)
        check.say("device", **{name: {"code": done.returncode, "out": done.stdout, "err": done.stderr,
                                      "seconds": round(time.monotonic() - start, 2)}})


def agreement(check: Check) -> None:
    """The same task on the processor and on CUDA."""
    for task in ["segmentation", "classification"]:
        runs = {"cpu": check.train(check.task(f"{task}-cpu", task, "cpu"))}
        for mode in ["usual", "none"]:
            runs[f"cuda-{mode}"] = check.train(check.task(f"{task}-cuda-{mode}", task, check.device), TF32[mode])
        runs["cuda-again"] = check.train(check.task(f"{task}-cuda-again", task, check.device), TF32["none"])
        bf16 = check.task(f"{task}-cuda-bf16", task, check.device, precision="bf16")
        runs["cuda-bf16"] = check.train(bf16)
        base = curve(runs["cpu"])
        for name, run in runs.items():
            lines = curve(run)
            apart = [abs(line["loss"] / at["loss"] - 1) for line, at in zip(lines, base)]
            check.say(f"{task} {name}", code=run["code"], seconds=round(run["seconds"], 2), curve=lines, loss_apart=apart,
                      metrics_apart=[max(abs(line[k] - at[k]) for k in line if k != "loss") for line, at in zip(lines, base)],
                      started=run["events"][0]["at"] if run["events"] else None,
                      epochs_at=[e["at"] for e in run["events"] if e["event"] == "epoch"],
                      weights=digest(check.folder / f"{task}-{name}" / "weights.safetensors"),
                      said="" if run["code"] == 0 else run["said"])


def release(check: Check) -> pathlib.Path:
    """A release of the two specialists trained on CUDA."""
    folder, cards = check.folder / "release", []
    for task in ["classification", "segmentation"]:
        source = check.folder / f"{task}-cuda-none"
        spec = json.loads((source / "task.json").read_text())["training_target"]["specialist"]
        finished = json.loads((source / "events.jsonl").read_text().splitlines()[-1])
        place = folder / task
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "weights.safetensors", place)
        raw = (place / "weights.safetensors").read_bytes()
        cards.append({
            "name": task, "version": 1, "weights": "sha256:" + hashlib.sha256(raw).hexdigest(), "weights_bytes": len(raw),
            "model": spec, "normalisation": finished["normalisation"], "input_size": None,
            "provenance": {"job": "j-00000000", "mode": "one-shot", "institutions": [], "rounds": 0, "samples": 1, "seed": 3, "frozen_at": 0},
            "metrics": {}, "energy": {"kwh": 0.0, "source": "unavailable"}, "licence": "none",
        })
        (place / "card.json").write_text(json.dumps(cards[-1]))
    manifest = {"number": 1, "created_at": 0, "note": "", "specialists": cards}
    (folder / "release.json").write_text(json.dumps(manifest))
    return folder


def normalised_maps(check: Check, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """timm's maps of the test part in double precision, normalised as the trainer does."""
    import timm
    import torch
    from safetensors.torch import load_file

    card = json.loads((folder / "segmentation" / "card.json").read_text())
    weights = load_file(folder / "segmentation" / "weights.safetensors")
    model = timm.create_model("convnextv2_atto", pretrained=False, in_chans=len(data.BANDS), num_classes=0)
    own = {name: tensor for name, tensor in weights.items() if name.startswith(("stem.", "stages."))}
    missing = model.load_state_dict(own, strict=False).missing_keys
    if any(name.startswith(("stem.", "stages.")) for name in missing):
        raise ValueError(f"timm misses {missing}")
    keys = json.loads((check.folder / "features-cpu" / "features.json").read_text())["keys"]
    root = check.data["segmentation"].parent / "images"
    import tifffile

    images = np.stack([tifffile.imread(root / f"{pathlib.Path(key).stem}.tif") for key in keys]).astype(np.float32)
    images = (images * np.float32(1e-4)).astype(np.float64).transpose(0, 3, 1, 2)
    mean = np.array([band["mean"] for band in card["normalisation"]]).reshape(1, -1, 1, 1)
    std = np.array([band["std"] for band in card["normalisation"]]).reshape(1, -1, 1, 1)
    maps, model = {}, model.double().eval()
    with torch.no_grad():
        x = model.stem(torch.from_numpy((images - mean) / std))
        for level, stage in enumerate(model.stages):
            x = stage(x)
            last = torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), eps=1e-6)
            maps[f"map_{level}"] = last.permute(0, 3, 1, 2).numpy()
    return maps


def features(check: Check) -> None:
    """Maps on the processor, on CUDA with and without TF32, and by timm in double precision."""
    folder = release(check)
    base, runs = None, {}
    for name, device, env in [("cpu", "cpu", {}), *((f"cuda-{mode}", check.device, env) for mode, env in TF32.items())]:
        output = check.folder / f"features-{name}"
        done = check.run("features", "--release", folder, "--encoders", "segmentation", "--data", check.data["segmentation"],
                         "--split", "test", "--maps", "--files", "numpy", "--device", device, "--output", output, environment=env)
        if done.returncode:
            check.say(f"features {name}", code=done.returncode, err=done.stderr[-800:])
            continue
        runs[name] = {f"map_{level}": np.load(output / f"map_{level}.npy") for level in range(4)}
    base = runs["cpu"]
    truth: dict | None = None
    try:
        truth = normalised_maps(check, folder)
    except ImportError as error:
        check.say("features timm", skipped=str(error))
    for name, maps in runs.items():
        apart = {level: float(np.abs(maps[level] - base[level]).max()) for level in maps}
        found = {"samples": int(maps["map_0"].shape[0]), "most_apart_from_cpu": apart}
        if truth is not None:
            found["most_apart_from_timm"] = {level: float(np.abs(maps[level] - truth[level]).max()) for level in maps}
            found["relative_to_timm"] = {
                level: float(np.linalg.norm(maps[level] - truth[level]) / np.linalg.norm(truth[level])) for level in maps
            }
        check.say(f"features {name}", **found)


def heads(check: Check) -> None:
    """Heads fitted on the device; scored, mapped and ablated on both."""
    folder, dataset = check.folder / "release", check.data["segmentation"]
    head, device = check.folder / "head", check.device
    fit = ["fit", "--release", folder, "--data", dataset, "--device", device, "--format", "json"]
    steps = {
        "fit": [*fit, "--epochs", "1" if check.quick else "3", "--output", head],
        "fit uncached": [*fit, "--epochs", "1", "--cache-gb", "0", "--select", "top-1", "--norm", "batch", "--output", check.folder / "head-live"],
        "fit router": [*fit, "--encoders", "segmentation", "--method", "router", "--epochs", "1", "--output", check.folder / "head-router"],
    }
    for on in dict.fromkeys(["cpu", device]):
        scene = ["--image", check.data["scene"], "--bands", ",".join(data.BANDS), "--scale", "0.0001", "--window", "64"]
        steps |= {
            f"score {on}": ["score", head, "--data", dataset, "--output", check.folder / f"score-{on}", "--device", on, "--format", "json"],
            f"predict {on}": ["predict", "--head", head, *scene, "--output", check.folder / f"map-{on}.tif", "--device", on, "--format", "json"],
            f"ablate {on}": ["ensemble", "ablate", head, "--data", dataset, "--output", check.folder / f"ablate-{on}", "--device", on,
                             "--format", "json"],
        }
    for name, words in steps.items():
        if check.quick and name == "fit uncached":
            continue
        start = time.monotonic()
        done = check.run(*words, timeout=150)
        report = json.loads(done.stdout) if done.returncode == 0 else {}
        shown = report[0]["metrics"] if isinstance(report, list) else {key: report.get(key) for key in ("loss", "classes", "ablations") if key in report}
        check.say(name, code=done.returncode, seconds=round(time.monotonic() - start, 2), out=shown, err=done.stderr[-700:] if done.returncode else "")
    maps = [check.folder / f"map-{device}.tif" for device in ["cpu", check.device]]
    if all(path.exists() for path in maps):
        import tifffile

        one, other = (tifffile.imread(path) for path in maps)
        check.say("predict", pixels_that_differ=float((one != other).mean()))
    card = json.loads((folder / "segmentation" / "card.json").read_text())
    for device in dict.fromkeys(["cpu", check.device]):
        path = check.folder / f"evaluate-{device}.json"
        path.write_text(json.dumps({
            "model": card["model"], "weights": str(folder / "segmentation" / "weights.safetensors"),
            "normalisation": card["normalisation"], "input_size": None, "dataset": str(dataset), "device": device, "threads": None,
        }))
        done = check.run("evaluate", path)
        last = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        check.say(f"evaluate {device}", code=done.returncode, metrics=last.get("metrics"), err=done.stderr[-500:] if done.returncode else "")


def resume(check: Check) -> None:
    """A training that is ended after its second epoch and resumed, against an uninterrupted one."""
    for task in ["classification", "segmentation"]:
        settings = {"drop_path": 0.1, "epochs": 3 if check.quick else 5}
        whole = check.train(check.task(f"resume-{task}-whole", task, check.device, **settings))
        again = check.train(check.task(f"resume-{task}-again", task, check.device, **settings))
        path = check.task(f"resume-{task}-parts", task, check.device, **settings)
        first = check.train(path, stop_after=2 if not check.quick else 1)
        second = check.train(path)
        weights = {name: digest(check.folder / f"resume-{task}-{name}" / "weights.safetensors") for name in ["whole", "again", "parts"]}
        check.say(f"resume {task}", codes=[run["code"] for run in (whole, again, first, second)], weights=weights,
                  same_run_to_run=weights["whole"] == weights["again"], same_resumed=weights["whole"] == weights["parts"],
                  resumed_at=second["events"][0].get("resumed_at") if second["events"] else None,
                  last={name: curve(run)[-1] for name, run in (("whole", whole), ("again", again), ("parts", second))})


def memory(check: Check) -> None:
    """A training that needs more memory than the device has."""
    size = 64 if check.quick else 1024
    path = check.task("memory", "segmentation", check.device, {"backbone": "convnextv2_base"}, batch_size=256, input_size=size, epochs=1)
    run = check.train(path, timeout=100) if not check.quick else {"code": None, "events": [], "seconds": 0, "said": "skipped"}
    check.say("memory", code=run["code"], seconds=round(run["seconds"], 1), events=[e["event"] for e in run["events"]],
              last=run["events"][-1:], said=run["said"])


def wall(check: Check) -> None:
    """The time of a whole training by part: reading, epochs, checkpoints."""
    for backbone, precision in [("convnextv2_atto", "full"), ("convnextv2_tiny", "bf16")]:
        if check.quick and backbone != "convnextv2_atto":
            continue
        model = {"backbone": backbone}
        path = check.task(f"wall-{backbone}", "segmentation", check.device, model, batch_size=64, precision=precision, epochs=2 if check.quick else 6)
        run = check.train(path)
        check.say(f"wall {backbone} {precision}", code=run["code"], seconds=round(run["seconds"], 2),
                  started=run["events"][0]["at"] if run["events"] else None,
                  epochs_at=[e["at"] for e in run["events"] if e["event"] == "epoch"],
                  energy=run["events"][-1].get("energy") if run["events"] else None, said=run["said"][-300:])


STEPS = [devices, agreement, features, heads, resume, wall, memory]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", help="steps joined by commas: " + ", ".join(step.__name__ for step in STEPS))
    parser.add_argument("--quick", action="store_true", help="few samples, to try the script")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    check = Check(arguments)
    wanted = arguments.only.split(",") if arguments.only else [step.__name__ for step in STEPS]
    for step in STEPS:
        if step.__name__ not in wanted:
            continue
        start = time.monotonic()
        try:
            step(check)
        except Exception:  # noqa: BLE001
            check.say(f"{step.__name__} broke", trace=traceback.format_exc()[-1500:])
        check.say("seconds", **{step.__name__: round(time.monotonic() - start, 1)})


if __name__ == "__main__":
    main()
