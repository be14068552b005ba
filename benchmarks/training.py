# SPDX-License-Identifier: Apache-2.0
"""Training speed of the paper's initial model: the textbook loop against ours, in turns, each in a fresh process.

    python benchmarks/training.py --rounds 5 --threads 2

Prints medians of images per second, the ratios to the textbook loop, and the share of the machine's measured peak. The
data is noise of MNIST's shape: how fast a net trains does not depend on what it sees.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}
VARIANTS = {
    "textbook": ("textbook", "fp32", {}),
    "ours fp32": ("ours", "fp32", MALLOC),
    "ours bf16, plain malloc": ("ours", "bf16", {}),
    "ours bf16": ("ours", "bf16", MALLOC),
}
IMAGES = 1280
BATCH = 64
NOTATION = "C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) F() FC(10)"


def measure(loop: str, precision: str, threads: int) -> dict[str, float]:
    """Train one epoch to warm up and one to measure; return images per second and the peak of a matrix product."""
    import torch

    from nas.config import InputShape
    from nas.models import build
    from nas.notation import parse_notation

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images_NCHW = torch.randint(0, 256, (IMAGES, 1, 28, 28), dtype=torch.uint8)
    labels_N = torch.randint(0, 10, (IMAGES,))
    model = build(parse_notation(NOTATION), InputShape(channels=1, height=28, width=28))
    train = train_textbook if loop == "textbook" else train_ours
    train(model, images_NCHW, labels_N, precision)
    start = time.perf_counter()
    train(model, images_NCHW, labels_N, precision)
    seconds = time.perf_counter() - start
    return {"images_per_second": IMAGES / seconds, "peak_gflops": peak_gflops(precision)}


def train_textbook(model: nn.Module, images_NCHW: Tensor, labels_N: Tensor, _precision: str) -> None:
    """Train as PyTorch's tutorial does."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001, eps=1e-7, weight_decay=0.02)
    for start in range(0, IMAGES, BATCH):
        x_NCHW = images_NCHW[start : start + BATCH].float() / 255
        loss = torch.nn.functional.cross_entropy(model(x_NCHW), labels_N[start : start + BATCH])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()


def train_ours(model: nn.Module, images_NCHW: Tensor, labels_N: Tensor, precision: str) -> None:
    """Train as a worker does."""
    import torch

    from nas.config import Precision, TrainingConfig
    from nas.training.epoch import EpochPlan, Learner, train_epoch
    from nas.training.recipe import make_recipe

    model = model.to(memory_format=torch.channels_last)
    recipe = make_recipe(TrainingConfig())
    learner = Learner(model=model, optimizer=recipe.make_optimizer(model), precision=Precision(precision))
    steps = IMAGES // BATCH
    plan = EpochPlan(order_N=torch.randperm(IMAGES), batch_size=BATCH, rate=lambda step: recipe.rate(step, steps))
    train_epoch(learner, images_NCHW, labels_N, plan)


def peak_gflops(precision: str) -> float:
    """Return what this machine reaches in a large matrix product."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    side = 2048
    left, right = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    left @ right
    start = time.perf_counter()
    for _ in range(5):
        left @ right
    return 5 * 2 * side**3 / (time.perf_counter() - start) / 1e9


def run(variant: str, threads: int) -> dict[str, float]:
    """Measure one variant in a process of its own."""
    loop, precision, environment = VARIANTS[variant]
    command = [sys.executable, __file__, "--measure", loop, precision, "--threads", str(threads)]
    found: dict[str, float] = json.loads(subprocess.check_output(command, env={**os.environ, **environment}))
    return found


def report(results: dict[str, list[dict[str, float]]]) -> None:
    """Print medians and ratios."""
    from nas.config import InputShape
    from nas.notation import parse_notation
    from nas.shapes import flops

    step_flops = 3 * flops(parse_notation(NOTATION), InputShape(channels=1, height=28, width=28))
    base = statistics.median(found["images_per_second"] for found in results["textbook"])
    print(f"{'variant':26} {'images/s':>9} {'ratio':>6} {'of peak':>8}")
    for variant, found in results.items():
        speed = statistics.median(one["images_per_second"] for one in found)
        peak = statistics.median(one["peak_gflops"] for one in found)
        print(f"{variant:26} {speed:9.0f} {speed / base:6.2f} {speed * step_flops / 1e9 / peak:8.1%}")


def main() -> None:
    """Run all variants in turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", nargs=2)
    arguments = parser.parse_args()
    if arguments.measure:
        loop, precision = arguments.measure
        print(json.dumps(measure(loop, precision, arguments.threads)))
        return
    results: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(arguments.rounds):
        for variant in VARIANTS:
            results[variant].append(run(variant, arguments.threads))
    report(results)


if __name__ == "__main__":
    main()
