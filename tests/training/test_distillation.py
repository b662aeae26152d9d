import pytest
import torch
from torch.nn.functional import cross_entropy, softmax

from paretune import models
from paretune.errors import ConfigError, StoreError
from paretune.training import save
from paretune.training.distillation import Distillation
from paretune.training.fit import fit, seed_everything
from small_training import make_training

LOGITS, LABELS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0]]), torch.tensor([0, 1])
STUDENT = {"_target_": "paretune.models.dense.Dense", "widths": [4]}


def teacher(data, path):
    """A checkpoint of a dense network of that data, trained for ten epochs."""
    seed_everything(0)
    config = {
        "_target_": "paretune.models.dense.Dense",
        "widths": [64],
        "image_shape": [1, 28, 28],
        "num_classes": 10,
    }
    net = models.build(config)
    fit(net, data, make_training(max_epochs=10))
    save(path, net, {"model": config}, data.make_scaling("standard"))
    return str(path)


def test_without_a_teacher_the_loss_is_that_of_the_labels():
    assert Distillation().compute_loss(LOGITS, LABELS, smoothing=0.1) == cross_entropy(
        LOGITS, LABELS, label_smoothing=0.1
    )


def test_a_teacher_that_agrees_adds_nothing():
    soft = softmax(LOGITS / 3, dim=1)

    assert Distillation(weight=1.0, temperature=3.0).compute_loss(
        LOGITS, LABELS, soft
    ).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_is_the_weighted_sum_of_both_parts():
    soft = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    student = softmax(LOGITS / 2, dim=1)
    taught = (soft * (soft / student).log()).sum(dim=1).mean()
    expected = 0.75 * cross_entropy(LOGITS, LABELS) + 0.25 * 4 * taught

    assert Distillation(weight=0.25, temperature=2.0).compute_loss(
        LOGITS, LABELS, soft
    ).item() == pytest.approx(expected.item())


def test_a_network_learns_its_teachers_probabilities(tiny_data, tmp_path):
    """With no weight on the labels the student comes nearer to the teacher's answers
    than one that has labels alone.
    """
    distillation = Distillation(teacher(tiny_data, tmp_path / "weights.pt"), weight=1.0)
    soft = distillation.load_teacher(tiny_data, torch.device("cpu"))(
        tiny_data.train.pixels
    )
    distances = []
    for settings in (distillation, Distillation()):
        seed_everything(0)
        net = models.build(STUDENT)
        fit(net, tiny_data, make_training(distillation=settings, max_epochs=10))
        images = tiny_data.make_scaling("standard")(tiny_data.train.pixels.float())
        distances.append(
            distillation.compute_loss(
                net.eval()(images), tiny_data.train.labels, soft
            ).item()
        )

    assert distances[0] < distances[1]


def test_soft_labels_are_probabilities_of_each_image(tiny_data, tmp_path):
    soft_labels = Distillation(
        teacher(tiny_data, tmp_path / "weights.pt")
    ).load_teacher(tiny_data, torch.device("cpu"))
    soft = soft_labels(tiny_data.train.pixels)

    assert soft.shape == (len(tiny_data.train), 10)
    assert torch.allclose(soft.sum(dim=1), torch.ones(len(soft)))


def test_the_teacher_sees_each_image_as_the_student_does(
    tiny_data, tmp_path, monkeypatch
):
    """Augmented images that are black all over get the teacher's answer to a black
    image.
    """
    distillation = Distillation(teacher(tiny_data, tmp_path / "weights.pt"))
    black = distillation.load_teacher(tiny_data, torch.device("cpu"))(
        torch.zeros(1, 1, 28, 28)
    )
    seen, loss = [], Distillation.compute_loss
    monkeypatch.setattr(
        Distillation,
        "compute_loss",
        lambda self, logits, labels, soft, **more: (
            seen.append(soft) or loss(self, logits, labels, soft, **more)
        ),
    )
    settings = make_training(
        distillation=distillation,
        max_epochs=1,
        augment=lambda images, draws, strength: images * 0,
    )
    fit(
        models.build({**STUDENT, "image_shape": [1, 28, 28], "num_classes": 10}),
        tiny_data,
        settings,
    )

    assert torch.allclose(torch.cat(seen), black.expand(len(tiny_data.train), -1))


def test_a_teacher_of_images_that_stay_the_same_is_asked_once(
    tiny_data, tmp_path, monkeypatch
):
    """Once for each image, and what the student learns from is what asking in every
    epoch would give.
    """
    distillation = Distillation(teacher(tiny_data, tmp_path / "weights.pt"))
    asked, net_of = [], Distillation.load_teacher

    def counting(self, data, device):
        soft_labels = net_of(self, data, device)
        return lambda pixels: asked.append(len(pixels)) or soft_labels(pixels)

    monkeypatch.setattr(Distillation, "load_teacher", counting)
    losses = []
    for augment in (None, lambda images, draws, strength: images):
        seed_everything(0)
        settings = make_training(
            distillation=distillation, max_epochs=3, augment=augment
        )
        student = models.build(
            {**STUDENT, "image_shape": [1, 28, 28], "num_classes": 10}
        )
        losses.append(
            [epoch.train_loss for epoch in fit(student, tiny_data, settings).epochs]
        )

    assert asked[0] == len(tiny_data.train)
    assert sum(asked[1:]) == 3 * len(tiny_data.train)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_teacher_of_other_classes_is_refused(tiny_data, tmp_path):
    distillation = Distillation(teacher(tiny_data, tmp_path / "weights.pt"))
    other = type(tiny_data)(
        tiny_data.name,
        tiny_data.train,
        tiny_data.val,
        tiny_data.load_test,
        num_classes=3,
    )

    with pytest.raises(
        ConfigError,
        match=(
            r"teacher `.*weights.pt` was trained on `rows`, images .* of 10 classes; "
            r"expected data"
        ),
    ):
        distillation.load_teacher(other, torch.device("cpu"))


def test_a_teacher_that_is_no_checkpoint_is_refused(tiny_data, tmp_path):
    with pytest.raises(StoreError, match=r"checkpoint `.*nowhere.pt` cannot be read"):
        Distillation(str(tmp_path / "nowhere.pt")).load_teacher(
            tiny_data, torch.device("cpu")
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"weight": 1.5},
            r"trainer.distillation.weight `1.5` is invalid; expected .*1",
        ),
        (
            {"temperature": 0},
            r"trainer.distillation.temperature `0` is invalid; expected above 0",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Distillation(**settings)
