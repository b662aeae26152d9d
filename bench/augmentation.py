"""What augmentation costs of a training step of the 6,254-parameter squeeze net."""

from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

from bench.nets import batch, net
from paretune.augment import Affine
from paretune.training.execution import keep_freed_memory

REPEATS = 20


def run() -> dict[str, float]:
    """Milliseconds a batch of 128, one thread, channels_last fp32."""
    keep_freed_memory()
    torch.set_num_threads(1)
    model, images = net("squeeze").to(memory_format=torch.channels_last), batch()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    draws, pixels = torch.Generator().manual_seed(0), images.pixels.float()

    def step() -> None:
        cross_entropy(model(pixels), images.labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    kinds = {
        "rotation_nearest": Affine(rotation_deg=5, interpolation="nearest"),
        "affine_bilinear": Affine(rotation_deg=5, shift=0.1, scale=0.1, shear_deg=5),
    }
    timed = {
        "step": step,
        **{
            kind: (lambda warp=warp: warp(pixels, draws))
            for kind, warp in kinds.items()
        },
    }
    ms = {name: _best_ms(work) for name, work in timed.items()}
    shares = {f"{kind}_of_step": round(ms[kind] / ms["step"], 3) for kind in kinds}
    return {f"{name}_ms": round(value, 2) for name, value in ms.items()} | shares


def _best_ms(work) -> float:
    times = []
    for _ in range(REPEATS):
        started_s = perf_counter()
        work()
        times.append(perf_counter() - started_s)
    return min(times) * 1e3
