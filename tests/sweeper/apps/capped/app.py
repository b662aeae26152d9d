"""A cost and a score of two widths, under a cap: no networks, no data."""

from math import exp

import hydra
from omegaconf import DictConfig


def count_products(cfg: DictConfig) -> int:
    """What the cap bounds."""
    return int(cfg.width) * int(cfg.height)


@hydra.main(version_base=None, config_path=".", config_name="config")
def score(cfg: DictConfig) -> tuple[float, float]:
    """The cost, to be minimised, and a score up to 1."""
    size = count_products(cfg)
    return size, 1 - exp(-size / 100) - 0.001 * abs(cfg.width - cfg.height)


if __name__ == "__main__":
    score()
