"""The sphere example of hydra-optuna-sweeper's documentation, rebuilt: one number to
minimise.
"""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=".", config_name="config")
def sphere(cfg: DictConfig) -> float:
    """Smallest at the origin."""
    if cfg.get("error", False) and float(cfg.x) < 0:
        message = "negative"
        raise RuntimeError(message)
    return float(cfg.x) ** 2 + float(cfg.y) ** 2


if __name__ == "__main__":
    sphere()
