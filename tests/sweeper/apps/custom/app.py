"""The custom-search-space example of hydra-optuna-sweeper's documentation, rebuilt: z
depends on x and y.
"""

import hydra
from omegaconf import DictConfig
from optuna.trial import Trial


@hydra.main(version_base=None, config_path=".", config_name="config")
def total(cfg: DictConfig) -> float:
    """The sum of the three squares."""
    return float(cfg.x) ** 2 + float(cfg.y) ** 2 + float(cfg.z) ** 2


def configure(cfg: DictConfig, trial: Trial) -> None:
    """Suggest z between the difference and the sum of x and y, as far as the config
    allows.
    """
    x, y = trial.params["x"], trial.params["y"]
    trial.suggest_float("z", x - y, x + y)
    trial.suggest_float("+w_z", 0.0, cfg.max_z_difference_from_x)


if __name__ == "__main__":
    total()
