"""What every family promises. ``tests/models/test_families.py`` runs it over every
``conf/model/*.yaml``.
"""

import torch
from torch import nn

from paretune import models
from paretune.data.images import Scaling
from paretune.models.tracing import count_parameters
from paretune.training import load, save

IMAGES = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def images_for(config: dict[str, object]) -> torch.Tensor:
    """Six images of the shape that the model takes."""
    return torch.rand(
        6, *config["image_shape"], generator=torch.Generator().manual_seed(0)
    )


class FamilyContract:
    """Tests of a plain ``model`` config, given as ``config``, and of the same with
    wider layers, ``wider``.
    """

    def test_it_turns_images_into_logits(self, config):
        assert models.build(config)(images_for(config)).shape == (
            6,
            config["num_classes"],
        )

    def test_every_parameter_gets_a_gradient(self, config):
        net = models.build(config)
        nn.functional.cross_entropy(net(images_for(config)), torch.arange(6)).backward()

        assert [name for name, p in net.named_parameters() if p.grad is None] == []

    def test_the_count_without_allocating_is_the_count_of_the_model(self, config):
        assert models.count(config) == count_parameters(models.build(config))

    def test_wider_layers_cost_more(self, config, wider):
        assert models.count(wider) > models.count(config)

    def test_a_seed_makes_the_same_weights(self, config):
        nets = []
        for _ in range(2):
            torch.manual_seed(7)
            nets.append(models.build(config))

        assert all(
            torch.equal(a, b)
            for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True)
        )

    def test_it_reloads_from_its_checkpoint(self, config, tmp_path):
        net, images = models.build(config).eval(), images_for(config)
        save(tmp_path / "weights.pt", net, {"model": config}, Scaling(1.0, 2.0))
        reloaded, saved, scaling = load(tmp_path / "weights.pt")

        assert (saved, scaling) == ({"model": config}, Scaling(1.0, 2.0))
        assert torch.equal(reloaded(images), net(images))

    def test_it_learns_a_batch_by_heart(self, wider):
        """From He's start, so that no layer of two or three maps is dead from the
        beginning.
        """
        torch.manual_seed(0)
        net = models.build(
            {
                key: 0.0 if key.endswith("dropout") else value
                for key, value in wider.items()
            }
            | {"init": "he"}
        )
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        losses = [float("inf")]
        while losses[-1] >= 0.1 and len(losses) < 300:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images_for(wider)), torch.arange(6))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

        assert losses[-1] < 0.1
