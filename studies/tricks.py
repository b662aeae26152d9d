"""Which ways of training bring tiny networks further in the same number of epochs:
validation F1 and time, three seeds.

Every finished training is a line of ``studies/tricks.csv``; a second run goes on after
them. The teacher (8,172 parameters, augmented) is trained once.
"""

import csv
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from bench.nets import mnist

from paretune import models, schema
from paretune.paths import CONF
from paretune.training import save
from paretune.trust import Trust

FAMILIES = "paretune.models"
NETS: dict[str, dict[str, Any]] = {
    "separable 6 + 5-9-10-8": {
        "_target_": f"{FAMILIES}.separable.Separable",
        "stem": 6,
        "widths": [5, 9, 10, 8],
    },
    "separable 2 + 3-3, 206": {
        "_target_": f"{FAMILIES}.separable.Separable",
        "stem": 2,
        "widths": [3, 3],
        "pool_after": [1, 2, 3],
        "norm": "batch",
        "norm_first": True,
        "padding": "same",
        "global_pool": False,
        "neck": 1,
    },
    "recurrent 5, 12 x 5": {
        "_target_": f"{FAMILIES}.recurrent.Recurrent",
        "stem": 5,
        "width": 12,
        "steps": 5,
        "norm": "scalar",
        "norm_first": True,
        "activation": "leaky_relu",
        "padding": "same",
        "bias": False,
        "head": [],
    },
    "squeeze 4-6-6-8-8": {
        "_target_": f"{FAMILIES}.squeeze.Squeeze",
        "widths": [4, 6, 6, 8, 8],
    },
}
TEACHER = {
    "_target_": f"{FAMILIES}.squeeze.Squeeze",
    "widths": [12] * 7,
    "padding": "same",
    "pool_after": [2, 4],
}
EPOCHS, TEACHER_EPOCHS, SEEDS = 20, 15, (0, 1, 2)
STARTS, FIRST = 3, 2  # networks drawn, and the epochs after which one of them goes on
LIGHT = (
    "augment=affine",
    "augment.rotation_deg=7",
    "augment.shift=0.04",
    "augment.scale=0.05",
)
STRONG = (
    "augment=affine",
    "augment.rotation_deg=10",
    "augment.shift=0.08",
    "augment.scale=0.1",
    "augment.shear_deg=6",
)
VARIANTS: dict[str, Sequence[str]] = {
    "plain": (),  # optimizer=auto, cosine, no augmentation
    "adamw": ("optimizer=adamw", "optimizer.lr=0.02"),
    "one_cycle": ("scheduler=one_cycle",),
    "ema": ("trainer.averaging.kind=ema",),
    "swa": ("trainer.averaging.kind=swa", "scheduler=constant", "optimizer.lr=0.02"),
    "batch of 64": ("trainer.batch_size=64",),
    "label smoothing": ("trainer.label_smoothing=0.05",),
    "light augmentation": LIGHT,
    "augmentation that fades": (
        *LIGHT,
        f"trainer.augment_rampdown_epochs={EPOCHS // 3}",
    ),
    "strong augmentation": STRONG,
    "distillation": ("trainer.distillation.teacher={teacher}",),
    "restarts": (
        f"trainer.restarts.starts={STARTS}",
        f"trainer.restarts.epochs={FIRST}",
        f"trainer.max_epochs={EPOCHS - STARTS * FIRST}",
    ),
    # Of which two fit: see `restarts`.
    "half as long": (f"trainer.max_epochs={EPOCHS // 2}",),
    "three times as long": (f"trainer.max_epochs={3 * EPOCHS}",),
}
TRAININGS = Path(__file__).with_suffix(".csv")
FIELDS = ("net", "parameters", "variant", "seed", "val_f1", "train_loss", "seconds")
Job = tuple[str, str, int]  # net, variant, seed


def run() -> dict[str, object]:
    """Train what is missing; returns the figures of :func:`summary`."""
    with (
        ProcessPoolExecutor(os.cpu_count()) as pool,
        TRAININGS.open("a", newline="") as file,
    ):
        teacher = str(pool.submit(train_teacher).result())
        done = {
            tuple(row)
            for row in finished()[["net", "variant", "seed"]].itertuples(index=False)
        }
        jobs = [
            (net, variant, seed)
            for seed, variant, net in product(SEEDS, VARIANTS, NETS)
        ]
        trainings = [
            pool.submit(train, (*job, teacher)) for job in jobs if job not in done
        ]
        for training in as_completed(trainings):
            csv.DictWriter(file, FIELDS).writerow(training.result())
            file.flush()
    return summary()


def finished() -> pd.DataFrame:
    if not TRAININGS.is_file() or not TRAININGS.stat().st_size:
        TRAININGS.write_text(",".join(FIELDS) + "\n")
    return pd.read_csv(TRAININGS)


def summary() -> dict[str, object]:
    """By variant: share of the error (1 - F1) that it takes away, geometric mean over
    the networks, and on how many it wins.

    The same against plain trainings that take as much time, and the gain in F1 by
    network.
    """
    groups = finished().groupby(["net", "variant"])
    scores, seconds = (
        groups["val_f1"].mean().unstack(),
        groups["seconds"].median().unstack(),
    )
    scores["two restarts"], seconds["two restarts"] = (
        restarts(),
        2 * seconds["half as long"],
    )
    times, errors = seconds.div(seconds["plain"], axis=0), np.log(1 - scores)
    gains = errors.rsub(errors["plain"], axis=0)
    at_equal_time = gains - gains.apply(
        lambda net: plain_for(times.loc[net.name], net), axis=1
    )
    return {
        name: {
            "less_error": round(1 - float(np.exp(-gains[name].mean())), 3),
            "wins": int((gains[name] > 0).sum()),
            "time": round(float(times[name].mean()), 2),
            "less_error_at_equal_time": round(
                1 - float(np.exp(-at_equal_time[name].mean())), 3
            ),
            "wins_at_equal_time": int((at_equal_time[name] > 1e-9).sum()),
            "f1_gain_by_net": (scores[name] - scores["plain"]).round(5).to_dict(),
        }
        for name in gains.columns
        if name != "plain"
    }


def plain_for(times: pd.Series, gains: pd.Series) -> pd.Series:
    """What a plain training of a network gains by ``times`` as much time, between those
    that were run (linear in the log of time).
    """
    run = sorted(
        ("half as long", "plain", "three times as long"), key=lambda name: times[name]
    )
    return pd.Series(
        np.interp(np.log(times), np.log(times[run]), gains[run]), index=times.index
    )


def restarts() -> pd.Series:
    """The mean of the best of two trainings that are half as long, over all pairs of
    seeds.
    """
    half = (
        finished()
        .query("variant == 'half as long'")
        .pivot(index="net", columns="seed", values="val_f1")
    )
    pairs = [half[[a, b]].max(axis=1) for a in SEEDS for b in SEEDS if a < b]
    return pd.concat(pairs, axis=1).mean(axis=1)


@cache
def image_data() -> Any:
    torch.set_num_threads(1)
    return mnist()


def trained(
    model: dict[str, Any], overrides: Sequence[str], seed: int
) -> tuple[Any, Any]:
    from hydra import compose, initialize_config_dir

    from paretune.experiment import make_training
    from paretune.start import TRAINED_BY, read_sections
    from paretune.training.fit import choose_start, fit, seed_everything

    schema.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "train",
            [
                f"seed={seed}",
                "trainer.patience=null",
                "trainer.autotune=false",
                f"trainer.max_epochs={EPOCHS}",
                *overrides,
            ],
        )
    data, training = (
        image_data(),
        make_training(read_sections(config, TRAINED_BY), Trust()),
    )
    build = partial(
        models.build, {"num_classes": 10, "image_shape": [1, 28, 28], **model}
    )
    training = choose_start(
        build, data, training, training.choose_execution(build(), data.train)
    )
    seed_everything(training.seed)
    net = build()
    return net, fit(net, data, training)


def train_teacher() -> Path:
    path = Path(tempfile.gettempdir()) / "paretune_teacher.pt"
    if not path.is_file():
        started_s = perf_counter()
        overrides = (
            *VARIANTS["augmentation that fades"],
            "scheduler=one_cycle",
            "optimizer=adamw",
            "optimizer.lr=0.01",
        )
        net, result = trained(
            TEACHER, (*overrides, f"trainer.max_epochs={TEACHER_EPOCHS}"), seed=99
        )
        seconds = perf_counter() - started_s
        print(
            f"teacher: validation F1 {result.best.val_f1:.4f} in {seconds:.0f} s",
            flush=True,
        )
        model = {"num_classes": 10, "image_shape": [1, 28, 28], **TEACHER}
        save(path, net, {"model": model}, image_data().make_scaling("standard"))
    return path


def train(job: tuple[str, str, int, str]) -> dict[str, object]:
    net_name, variant, seed, teacher = job
    overrides = [line.format(teacher=teacher) for line in VARIANTS[variant]]
    image_data()  # the first time takes a second, which is not timed
    started_s = perf_counter()
    net, result = trained(NETS[net_name], overrides, seed)
    seconds = perf_counter() - started_s  # with the starts that were looked at
    parameters = sum(weight.numel() for weight in net.parameters())
    scores = (
        round(result.best.val_f1, 5),
        round(result.best.train_loss, 5),
        round(seconds, 2),
    )
    return dict(
        zip(FIELDS, (net_name, parameters, variant, seed, *scores), strict=True)
    )
