"""How far a model is from the best one."""

from omegaconf import DictConfig


def compute_distance(model: DictConfig) -> float:
    """0 for the best settings of one layer."""
    return abs(model.width - 20) / 20 + abs(model.optimizer.lr - 0.01) + model.depth
