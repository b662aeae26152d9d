"""Does a search in bf16 rank models as one in fp32 does? Spearman's rho over 24
configurations, beside that of two seeds.
"""

import numpy as np
from bench.nets import mnist
from bench.throughput import adam
from scipy.stats import spearmanr

from paretune import models
from paretune.data.images import ImageData
from paretune.training import schedule
from paretune.training.fit import fit, seed_everything
from paretune.training.settings import Training

CONFIGS, IMAGES, EPOCHS = 24, 10_000, 2


def run() -> dict[str, object]:
    """Rank correlations of validation F1 after two epochs of 10,000 images."""
    data = mnist()
    data = ImageData(
        data.name, data.train.take(slice(IMAGES)), data.val, data.load_test
    )
    rng = np.random.default_rng(0)
    configs = [_config(rng) for _ in range(CONFIGS)]
    f1 = {
        kind: [_f1(config, data, precision, seed) for config in configs]
        for kind, precision, seed in (
            ("fp32", "fp32", 0),
            ("bf16", "bf16", 0),
            ("fp32_other_seed", "fp32", 1),
        )
    }
    rho = {
        kind: round(float(spearmanr(f1["fp32"], f1[kind]).statistic), 3)
        for kind in ("bf16", "fp32_other_seed")
    }
    return {
        "configs": CONFIGS,
        "rho_with_fp32": rho,
        "f1": {kind: np.round(v, 4).tolist() for kind, v in f1.items()},
    }


def _config(rng: np.random.Generator) -> dict[str, object]:
    if rng.random() < 0.5:
        widths = np.exp(rng.uniform(np.log(2), np.log(24), 5)).astype(int).tolist()
        return {"_target_": "paretune.models.squeeze.Squeeze", "widths": widths}
    widths = np.exp(rng.uniform(np.log(2), np.log(24), 2)).astype(int).tolist()
    norm = str(rng.choice(["none", "batch"]))
    return {"_target_": "paretune.models.conv.Conv", "widths": widths, "norm": norm}


def _f1(config: dict[str, object], data: ImageData, precision: str, seed: int) -> float:
    training = Training(
        optimizer=adam,
        schedule=schedule.cosine,
        max_epochs=EPOCHS,
        device="cpu",
        threads=1,
        seed=seed,
        patience=None,
        autotune=False,
        memory_format="channels_last",
        precision=precision,
    )
    seed_everything(seed)
    return fit(models.build(config), data, training).best.val_f1
