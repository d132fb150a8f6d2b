#!/usr/bin/env python3
"""`make gpu-check`: everything about a GPU in one script of less than eight minutes, without a network.

    python3 bench/gpu/run.py --trainer eosfed-trainer --steps steps --output gpu-check

Correctness (check.py and the example `steps`): forward, loss and gradient against the processor, the same
task on both, two runs with one seed, a training that learns, ended and resumed, and too little memory.
Speed: images per second of the trainer, of timm in eager mode and of torch.compile, in 32 bits, TF32 and
bfloat16, with the share of a step in which the host only starts kernels, how busy the GPU was, and the most
memory. Prints a table and writes `gpu-check.json`. What does not fit into the time is named and left out.
Needs Python with numpy and tifffile; with torch and timm it compares with them. `--device cpu --quick`
tries the script without a GPU.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# The trainer and PyTorch obey the same variables.
MODES = {
    "f32": ("full", {"NVIDIA_TF32_OVERRIDE": "0"}),
    "TF32": ("full", {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}),
    "bf16": ("bf16", {}),
}


class Watch:
    """How busy the GPU is, and how much of its memory is used, as nvidia-smi samples them."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def look(self) -> None:
        words = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while not self.done.wait(0.3):
            try:
                answer = subprocess.run(words, capture_output=True, text=True, timeout=5).stdout
                busy, memory = (float(part) for part in answer.splitlines()[0].split(","))
            except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
                return
            self.samples.append((busy, memory))

    def figures(self) -> dict:
        """The mean of the busiest half, since programs take time to start, and the most memory."""
        if not self.samples:
            return {}
        busy = sorted(sample[0] for sample in self.samples)
        half = busy[len(busy) // 2:]
        return {"busy_percent": sum(half) / len(half), "most_memory_mib": max(sample[1] for sample in self.samples)}


class Run:
    """The parts of the check, within its time."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.end = time.monotonic() + asked.minutes * 60
        self.found: dict = {"device": None, "agree": [], "speed": [], "left_out": []}

    def left(self) -> float:
        return self.end - time.monotonic()

    def save(self) -> None:
        (self.asked.output / "gpu-check.json").write_text(json.dumps(self.found, indent=1) + "\n")

    def call(self, name: str, words: list, environment: dict | None = None, least: float = 10, share: float = 1) -> list[dict]:
        """Runs a program that prints lines of JSON, in at most this share of the time that is left. A failure and
        a lack of time are notes, not ends."""
        if self.left() < least:
            self.found["left_out"].append(f"{name}: no time was left")
            return []
        # A session of its own, so that what the program has started ends with it.
        child = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, **(environment or {})}, start_new_session=True)
        try:
            out, said = child.communicate(timeout=self.left() * share)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, said = child.communicate()
            self.found["left_out"].append(f"{name}: it did not end within its share of the time")
        else:
            if child.returncode != 0:
                self.found["left_out"].append(f"{name}: it ended with {child.returncode}: {said.strip()[-400:]}")
        # What is not a whole line was cut off.
        return [json.loads(line) for line in out.split("\n")[:-1] if line.startswith("{")]

    def device(self) -> None:
        words = [self.asked.trainer, "device", "--device", self.asked.device, "--format", "json"]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
        try:
            self.found["device"] = json.loads(done.stdout)
        except ValueError:
            sys.exit(f"error: {self.asked.trainer} device: {done.stderr.strip()}")
        if done.returncode != 0:
            sys.exit(f"error: {self.found['device']['reason']}")

    def steps(self, name: str, environment: dict, *words: object) -> list[dict]:
        cpu = ["--cpu"] if self.asked.device == "cpu" else []
        return self.call(name, [self.asked.steps, *cpu, "--bands", "13", *words], environment)

    def agree(self) -> None:
        size, batch = ("32", "2") if self.asked.quick else ("64", "16")
        for mode, (precision, environment) in MODES.items():
            words = ["--agree", "--size", size, "--batch", batch, "--precision", precision]
            for row in self.steps(f"agreement in {mode}", environment, *words):
                self.found["agree"].append({"mode": mode, **row})

    def check(self) -> None:
        """check.py: trainings of the program itself."""
        quick = ["--quick"] if self.asked.quick else []
        folder = self.asked.output / "check"
        words = [sys.executable, HERE / "check.py", "--trainer", self.asked.trainer, "--output", folder,
                 "--device", "cpu" if self.asked.device == "cpu" else "cuda", "--only", "devices,agreement,resume,memory", *quick]
        self.call("check.py", words, least=30, share=0.5)
        if (folder / "check.json").exists():
            self.found["check"] = json.loads((folder / "check.json").read_text())

    def speed(self) -> None:
        quick = self.asked.quick
        backbones = ["convnextv2_atto"] if quick else ["convnextv2_atto", "convnextv2_tiny"]
        for size, batch in [(32, 4)] if quick else [(64, 64), (224, 64)]:
            for backbone in backbones:
                for mode, (precision, environment) in MODES.items():
                    self.row(backbone, size, batch, mode, precision, environment)

    def row(self, backbone: str, size: int, batch: int, mode: str, precision: str, environment: dict) -> None:
        case = ["--backbone", backbone, "--size", size, "--batch", batch, "--precision", precision, "--seconds", self.asked.seconds]
        name = f"{backbone} {size} b{batch} {mode}"
        row = {"backbone": backbone, "size": size, "batch": batch, "mode": mode}
        with Watch() as watch:
            rows = self.steps(f"trainer, {name}", environment, *case)
        if rows:
            keys = ("samples_per_second", "host_ms", "step_ms")
            row["trainer"] = {**{key: rows[0][key] for key in keys}, **watch.figures()}
        timm = [sys.executable, HERE / "steps_timm.py", "--device", "cpu" if self.asked.device == "cpu" else "cuda", "--bands", "13", *case]
        for label in self.asked.beside:
            words = [*timm, "--compile"] if label == "compiled" else timm
            rows = self.call(f"{label}, {name}", words, environment, least=30 if label == "compiled" else 10)
            if rows:
                row[label] = {key: rows[0].get(key) for key in ("samples_per_second", "peak_mib")}
        self.found["speed"].append(row)
        self.save()
        print(name, json.dumps(row), flush=True)

    def table(self) -> str:
        found, lines = self.found, []
        lines.append(f"device: {found['device']['device']} ({found['device']['reason']})")
        for row in found["agree"]:
            lines.append(f"{row['mode']}: outputs {row['outputs']:.1e}, loss {row['loss']:.1e}, gradient {row['gradient']:.1e} "
                         "from the processor's")
        check = found.get("check", {})
        for name in ("resume classification", "resume segmentation"):
            if name in check:
                part = check[name]
                lines.append(f"{name}: same bytes from run to run: {part['same_run_to_run']}, resumed: {part['same_resumed']}")
        for name in ("classification cuda-none", "segmentation cuda-none"):
            losses = [epoch["loss"] for epoch in check.get(name, {}).get("curve", [])]
            if losses:
                lines.append(f"{name}: loss {losses[0]:.3f} to {losses[-1]:.3f}, learns: {losses[-1] < losses[0]}")
        if "memory" in check:
            last = (check["memory"].get("last") or [{}])[-1]
            lines.append(f"too little memory: {last.get('reason', last.get('event', 'not tried'))}")
        lines += ["", "| backbone | pixels | batch | | trainer, images/s | timm | compiled | ratio | host, ms | step, ms | busy | MiB |",
                  "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
        shown = lambda value, form: "" if value is None else format(value, form)  # noqa: E731
        for row in found["speed"]:
            part = [row.get(name, {}) for name in ("trainer", "timm", "compiled")]
            rates = [each.get("samples_per_second") for each in part]
            ratio = rates[0] / rates[1] if rates[0] and rates[1] else None
            cells = [row["backbone"], row["size"], row["batch"], row["mode"], *(shown(rate, ".0f") for rate in rates), shown(ratio, ".2f"),
                     shown(part[0].get("host_ms"), ".1f"), shown(part[0].get("step_ms"), ".1f"), shown(part[0].get("busy_percent"), ".0f"),
                     shown(part[0].get("most_memory_mib"), ".0f")]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        lines += [f"left out: {reason}" for reason in found["left_out"]]
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, required=True, help="the program eosfed-trainer")
    parser.add_argument("--steps", type=pathlib.Path, required=True, help="the trainer's example `steps`")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a folder for the results")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--beside", default="timm,compiled", type=lambda text: [part for part in text.split(",") if part],
                        help="what is measured beside the trainer")
    parser.add_argument("--minutes", type=float, default=7.5, help="most time for all")
    parser.add_argument("--seconds", type=float, default=2.0, help="shortest time of a measurement")
    parser.add_argument("--quick", action="store_true", help="little of everything, to try the script")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    run = Run(asked)
    for part in (run.device, run.agree, run.check, run.speed):
        start = time.monotonic()
        part()
        run.found.setdefault("seconds", {})[part.__name__] = round(time.monotonic() - start, 1)
        run.save()
    text = run.table()
    (asked.output / "gpu-check.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
