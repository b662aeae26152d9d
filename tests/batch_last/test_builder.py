"""What a builder plans, without a compiler."""

import pytest
import torch

from paretune.batch_last import LANES, Builder, UnknownLayerError, Weights, Window
from paretune.batch_last.operations import Kind
from paretune.batch_last.parameters import Parameters


def make_builder(*tensors: torch.Tensor, training: bool = True) -> Builder:
    return Builder((1, 4, 4), Parameters(tensors), training=training)


def test_a_relu_is_part_of_the_convolution_before_it():
    weight = torch.ones(2, 1, 3, 3)
    builder = make_builder(weight)
    maps = builder.convolve(builder.image, Weights(weight), Window(3, 3))
    builder.rectify(builder.rectify(maps, 0.1), 0.5)

    assert [operation.kind for operation in builder.operations] == [
        Kind.CONVOLUTION,
        Kind.ACTIVATION,
    ]
    assert [operation.slope for operation in builder.operations] == [0.1, 0.5]


def test_evaluation_needs_no_gradients():
    weight = torch.ones(3, 1)
    sizes = {}
    for training in (True, False):
        builder = make_builder(weight, training=training)
        logits = builder.connect(builder.average(builder.image), Weights(weight))
        sizes[training] = builder.finish(logits).block_floats

    assert sizes[False] == LANES * (16 + 1 + 3)
    # Of the logits; before the weights there is nothing that is trained.
    assert sizes[True] == sizes[False] + LANES * 3


def test_a_frozen_parameter_is_not_known_in_training():
    weight = torch.ones(3, 1)
    builder = make_builder()

    with pytest.raises(UnknownLayerError, match="a frozen parameter"):
        builder.connect(builder.average(builder.image), Weights(weight))


@pytest.mark.parametrize(
    "window",
    [Window(33, 1), Window(1, 1, pad_rows=1), Window(2, 1, pad_columns=1)],
    ids=str,
)
def test_a_kernel_that_is_too_long_or_all_padding_is_not_known(window):
    weight = torch.ones(2, 1, window.rows, window.columns)
    builder = make_builder(weight)

    with pytest.raises(UnknownLayerError, match=r"a kernel of Window"):
        builder.convolve(builder.image, Weights(weight), window)


def test_weights_of_another_shape_are_not_known():
    weight = torch.ones(2, 1, 3, 3)
    builder = make_builder(weight)

    with pytest.raises(
        UnknownLayerError, match=r"weights \(2, 1, 3, 3\) on values \(1, 4, 4\)"
    ):
        builder.convolve(builder.image, Weights(weight), Window(2, 2))


def test_logits_have_no_pixels():
    builder = make_builder()

    with pytest.raises(UnknownLayerError, match=r"an output of \(1, 4, 4\)"):
        builder.finish(builder.image)


def test_two_layers_on_one_trained_value_are_not_known():
    weight = torch.ones(2, 1, 1, 1)
    builder = make_builder(weight)
    maps = builder.convolve(builder.image, Weights(weight), Window())
    builder.average(maps)

    with pytest.raises(UnknownLayerError, match="two layers on one value"):
        builder.flatten(maps)
