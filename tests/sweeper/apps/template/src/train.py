"""An app in the layout of lightning-hydra-template, whose training takes no time."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

# As rootutils does it for such apps: its modules are found from the project's folder.
sys.path.append(str(Path(__file__).parent.parent))

from src.distance import compute_distance


@hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
def main(config: DictConfig) -> float:
    """The score of the settings."""
    return compute_distance(config.model)


if __name__ == "__main__":
    main()
