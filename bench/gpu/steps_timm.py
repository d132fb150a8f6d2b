#!/usr/bin/env python3
"""The same steps as the trainer's example `steps`, by timm and PyTorch in eager mode.

    python3 bench/gpu/steps_timm.py --backbone convnextv2_atto --size 64 --batch 32

Prints one JSON line for each combination. Samples are on the device; a step takes a random batch,
cross-entropy, gradients clipped to norm 1, AdamW with decay 0.05. `--sync` reads the loss after each
step, `--compile` measures the network that `torch.compile` makes.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import time

import timm
import torch

CLASSES, EPOCH, PHASE_STEPS = 10, 4, 5


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def measure(backbone: str, size: int, batch: int, precision: str, options: argparse.Namespace) -> dict:
    device = options.device
    torch.manual_seed(1)
    samples = batch * EPOCH
    images = torch.randn(samples, options.bands, size, size, device=device)
    labels = torch.randint(CLASSES, (samples,), device=device)
    model = timm.create_model(backbone, pretrained=False, in_chans=options.bands, num_classes=CLASSES).to(device).train()
    called = torch.compile(model) if options.compile else model
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4)
    half = precision == "bf16" and device == "cuda"

    def cast():
        return torch.autocast("cuda", dtype=torch.bfloat16) if half else contextlib.nullcontext()

    def rest() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with cast():
            return torch.nn.functional.cross_entropy(called(x).float(), y)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def epoch() -> None:
        for chosen in torch.randperm(samples, device=device).split(batch):
            loss = forward(images[chosen], labels[chosen])
            if options.sync:
                loss.item()
            loss.backward()
            update()

    epoch()
    epoch()
    rest()
    start, processor, steps = time.perf_counter(), time.process_time(), 0
    while steps < EPOCH or time.perf_counter() - start < options.seconds:
        epoch()
        steps += EPOCH
    rest()
    rate = steps / (time.perf_counter() - start)
    processor = (time.process_time() - processor) * 1e3 / steps

    times: dict[str, list[float]] = {"batch": [], "forward": [], "backward": [], "optimizer": []}
    for _ in range(PHASE_STEPS):
        clock = time.perf_counter()

        def lap(phase: str) -> None:
            nonlocal clock
            rest()
            times[phase].append((time.perf_counter() - clock) * 1e3)
            clock = time.perf_counter()

        chosen = torch.randperm(samples, device=device)[:batch]
        x, y = images[chosen], labels[chosen]
        lap("batch")
        loss = forward(x, y)
        lap("forward")
        loss.backward()
        lap("backward")
        update()
        lap("optimizer")
    row = {
        "framework": " ".join(["timm", *(["compiled"] if options.compile else []), *(["sync"] if options.sync else [])]), "device": device, "backbone": backbone, "size": size, "batch": batch,
        "precision": precision, "bands": options.bands, "processor_ms": processor, "steps_per_second": rate, "samples_per_second": rate * batch,
        "phases": {phase: statistics.median(list_) for phase, list_ in times.items()},
    }
    if device == "cuda":
        row["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="convnextv2_atto", type=lambda text: text.split(","))
    parser.add_argument("--size", default="64", type=numbers)
    parser.add_argument("--batch", default="32", type=numbers)
    parser.add_argument("--precision", default="full", type=lambda text: text.split(","))
    parser.add_argument("--seconds", default=1.0, type=float)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sync", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bands", default=6, type=int)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for case in itertools.product(options.backbone, options.size, options.batch, options.precision):
        print(json.dumps(measure(*case, options)), flush=True)


if __name__ == "__main__":
    main()
