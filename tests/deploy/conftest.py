import pytest
import torch
from omegaconf import OmegaConf

from paretune.data.images import Scaling
from paretune.deploy.model import Deployable, WithScaling
from paretune.front import Point
from paretune.models import build, count


@pytest.fixture
def deployable(composed):
    """A network with weights and running statistics that are not the initial ones."""

    def make(*overrides: str) -> Deployable:
        config = OmegaConf.to_container(composed(*overrides).model)
        torch.manual_seed(0)
        samples, net = torch.rand(40, *config["image_shape"]), build(config)
        for _ in range(2):
            net.train()(samples * 3)
        point = Point(
            costs={"params": count(config)},
            f1=0.9,
            family=config["_target_"],
            data="digits",
            config={"model": config},
        )
        return Deployable(
            WithScaling(net, Scaling(33.0, 78.0)).eval(), point, samples, 0.7
        )

    return make
