"""Images a second of ``fit`` beside the bare PyTorch loop (the limit) and a DataLoader
with per-sample transforms.
"""

import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from bench.nets import BATCH_SIZE, NETS, first, mnist, net
from paretune.data.images import ImageData
from paretune.training import schedule
from paretune.training.execution import keep_freed_memory
from paretune.training.fit import fit, seed_everything
from paretune.training.settings import Training

IMAGES = {"dense": 50_000, "conv": 20_000, "conv_841": 20_000, "squeeze": 8_000}
ROUNDS = 2
THREADS = 1
WORKER = ("ours_worker", "plain_worker", "dataloader_worker")


def adam(parameters) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.005, fused=True)


def ours(data: ImageData, name: str, **pinned: object) -> float:
    """Seconds of the second epoch."""
    training = Training(
        optimizer=adam,
        schedule=schedule.cosine,
        max_epochs=2,
        batch_size=BATCH_SIZE,
        device="cpu",
        patience=None,
        **{"autotune": False, **pinned},
    )
    seed_everything(0)
    return fit(net(name), data, training).epochs[1].seconds


def bare(data: ImageData, name: str) -> float:
    """The plainest loop over the same tensors, with the same optimizer and schedule:
    seconds of the second epoch.
    """
    model = net(name)
    optimizer = adam(model.parameters())
    steps = schedule.cosine(
        optimizer, schedule.TrainingLength(-(-len(data.train) // BATCH_SIZE), 2)
    ).scheduler
    for _ in range(2):
        started_s = perf_counter()
        for rows in torch.randperm(len(data.train)).split(BATCH_SIZE):
            images = (data.train.pixels[rows].float() - data.mean) / data.std
            loss = cross_entropy(model(images), data.train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps.step()
    return perf_counter() - started_s


class PerSample(Dataset):
    """An image at a time, as torchvision's MNIST with ToTensor and Normalize makes it:
    the same tensor operations.

    torchvision itself has no build for every machine this runs on.
    """

    def __init__(self, data: ImageData) -> None:
        self.pixels, self.labels = data.train.pixels[:, 0], data.train.labels
        self.mean, self.std = (data.mean / 255,), (data.std / 255,)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.pixels[index].numpy())
        image = self._to_tensor(picture)
        return self._normalise(image), int(self.labels[index])

    def _to_tensor(self, picture: Image.Image) -> torch.Tensor:
        image = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        image = (
            image.view(picture.size[1], picture.size[0], 1)
            .permute((2, 0, 1))
            .contiguous()
        )
        return image.to(dtype=torch.get_default_dtype()).div(255)

    def _normalise(self, image: torch.Tensor) -> torch.Tensor:
        image = image.clone()
        mean, std = (
            torch.as_tensor(values, dtype=image.dtype)
            for values in (self.mean, self.std)
        )
        if (std == 0).any():
            raise ValueError(std)
        return image.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


class Usual(pl.LightningModule):
    """The usual LightningModule: automatic optimization and a log line a step."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = net(name)

    def training_step(self, batch, batch_idx):
        loss = cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.005)


class Clock(pl.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.started_s = perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(perf_counter() - self.started_s)


def usual(data: ImageData, name: str) -> float:
    """What people do now: Lightning, a DataLoader with its default of no worker
    process, per-sample transforms.
    """
    clock = Clock()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", callbacks=[clock], **quiet)
    loader = DataLoader(PerSample(data), BATCH_SIZE, shuffle=True, num_workers=0)
    trainer.fit(Usual(name), loader)
    return clock.seconds[1]


def run() -> dict[str, dict[str, float]]:
    """Images a second, and the ratios that ``docs/journal/2026-11-21-throughput.md``
    claims.
    """
    return {name: _figures(name) for name in NETS}


def seconds_of(way: str, name: str, threads: int) -> float:
    """Seconds of one epoch; run in a process of its own, as each way sets up its
    process.
    """
    # Those two have the machine to themselves, as a single worker has.
    if way not in WORKER:
        torch.set_num_threads(threads)
    data = first(mnist(), IMAGES[name])
    ways: dict[str, Callable[[], float]] = {
        "ours_fp32": lambda: ours(
            data, name, memory_format="contiguous", precision="fp32", threads=threads
        ),
        "ours_worker": lambda: ours(data, name, autotune=True),
        "plain_worker": lambda: bare(data, name),
        "ours_autotuned": lambda: ours(data, name, autotune=True, threads=threads),
        "bare_fp32": lambda: bare(data, name),
        "plain_fp32": lambda: bare(data, name),
        "dataloader": lambda: usual(data, name),
        "dataloader_worker": lambda: usual(data, name),
    }
    if way == "bare_fp32":  # the limit of ours: the same loop with the same allocator
        keep_freed_memory()
    return ways[way]()


def _figures(name: str) -> dict[str, float]:
    ways = (
        "ours_fp32",
        "bare_fp32",
        "ours_autotuned",
        "ours_worker",
        "plain_fp32",
        "plain_worker",
        "dataloader",
        "dataloader_worker",
    )
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):  # in turns, so that a busy moment hits them all
        for way in ways:
            seconds[way] = min(seconds[way], _in_own_process(way, name))
    rates = {way: round(IMAGES[name] / s) for way, s in seconds.items()}
    return rates | {
        "ours_of_bare": round(rates["ours_fp32"] / rates["bare_fp32"], 3),
        "autotuned_over_plain": round(rates["ours_autotuned"] / rates["plain_fp32"], 2),
        "worker_over_plain_worker": round(
            rates["ours_worker"] / rates["plain_worker"], 2
        ),
        "worker_over_dataloader_worker": round(
            rates["ours_worker"] / rates["dataloader_worker"], 2
        ),
        "autotuned_over_ours_fp32": round(
            rates["ours_autotuned"] / rates["ours_fp32"], 2
        ),
        "ours_fp32_over_dataloader": round(rates["ours_fp32"] / rates["dataloader"], 2),
        "autotuned_over_dataloader": round(
            rates["ours_autotuned"] / rates["dataloader"], 2
        ),
    }


def _in_own_process(way: str, name: str) -> float:
    code = (
        f"from bench.throughput import seconds_of; print(seconds_of({way!r}, "
        f"{name!r}, {THREADS}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])
