"""A trained network in whole numbers, quantised by onnxruntime.

Weights have a scale for each channel, activations one each, with a zero point,
calibrated on training images (Jacob et al. 2018, https://arxiv.org/abs/1712.05877). The
file is ONNX with pairs of QuantizeLinear and DequantizeLinear, which any runtime takes.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from paretune.deploy.onnx_nodes import (
    RESHAPE_NODES,
    SCALING,
    find_maker,
    find_readers,
    find_scaling_nodes,
    is_constant,
    read_layer,
    remove_unread,
)
from paretune.errors import ExportError

ROUNDING_NODES = ("QuantizeLinear", "DequantizeLinear")
# Which onnxruntime leaves out: rounded values end at the bounds by themselves.
BOUNDED = ("Relu", "Clip")
CALIBRATED_AT_ONCE = 100  # images


def optimise(source: Path, path: Path) -> None:
    """Write what onnxruntime makes of the ONNX file ``source`` before it is quantised:
    batch norms join the convolutions before them, say.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(source), str(path), skip_symbolic_shape=True)


def quantise(source: Path, path: Path, images: NDArray[np.float32]) -> None:
    """Write the ONNX file ``source`` in int8 to ``path``, without its metadata.

    Activations are calibrated on ``images`` ``(N, C, H, W)`` in [0, 1]. The logits stay
    float32: they are the sums of the last layer, not rounded to 256 steps. Raises
    :class:`~paretune.errors.ExportError`, and leaves no file, for a network whose
    values have no finite range.
    """
    real = onnx.load(str(source))
    # Stays as it is: an image is quantised once.
    scaling = [node.name for node in find_scaling_nodes(real)]
    _quantise_static(source, path, images, scaling)
    model = onnx.load(str(path))
    path.unlink()
    _check_ranges(model)
    for node in list(model.graph.node):
        _take_unrounded(node, model)
    if _find_last_layer(real)[-1].op_type not in BOUNDED:
        _leave_logits(model)
    del model.metadata_props[:]
    onnx.save(model, str(path))


def _quantise_static(
    plain: Path, whole: Path, images: NDArray[np.float32], excluded: list[str]
) -> None:
    """Have onnxruntime write the file ``plain`` in int8 to ``whole``, the nodes
    ``excluded`` as they are.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Calibration(CalibrationDataReader):  # type: ignore[misc]
        """The images by the hundred."""

        def __init__(self) -> None:
            ends = range(CALIBRATED_AT_ONCE, len(images), CALIBRATED_AT_ONCE)
            self.parts = iter(np.split(images, ends))

        def get_next(self) -> dict[str, Any] | None:
            """The next hundred; ``None`` behind the last."""
            part = next(self.parts, None)
            return None if part is None else {"images": part}

    with _without_warnings():
        quantize_static(
            str(plain),
            str(whole),
            Calibration(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            nodes_to_exclude=excluded,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide what onnxruntime warns of: it asks for quant_pre_process, which has nothing
    left to do, and infinite ranges are refused later.
    """
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        logger.setLevel(level)


def _check_ranges(model: ModelProto) -> None:
    """Raise :class:`~paretune.errors.ExportError` if what is quantised was infinite,
    such as a pad for maxima.
    """
    scales = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[1] not in scales:
            continue
        scale = numpy_helper.to_array(scales[node.input[1]])
        if not np.isfinite(scale).all():
            raise ExportError(
                f"layer `{_describe_maker(node, model)}` gives values without a "
                "finite range, which int8 has no steps for; use finite numbers, such as "
                "a pad with zeros, or export without --int8"
            )


def _describe_maker(node: NodeProto, model: ModelProto) -> str:
    """The layer whose values the node quantises, or, for want of one, the name of the
    value.
    """
    maker = find_maker(node.input[0], model)
    layer = read_layer(maker) if maker else ""
    return layer.removeprefix("net.") or str(node.input[0])


def _take_unrounded(node: NodeProto, model: ModelProto) -> None:
    """Have a leaky rectifier, or what scales the result of a norm, take what comes
    before it as it is.

    Deep networks lose several times as much without it: each layer would be rounded to
    256 steps two to four times.
    """
    is_by_constant = node.op_type not in SCALING or is_constant(node.input[1], model)
    before = _find_rounded(node.input[0], model)
    if before and is_by_constant and node.op_type in _find_joinable(before, model):
        node.input[0] = before.output[0]
        remove_unread(model)


def _find_rounded(value: str, model: ModelProto) -> NodeProto | None:
    """The node whose values become ``value`` by being rounded; ``None`` if anything
    else reads them.
    """
    for rounding in reversed(ROUNDING_NODES):
        maker = _find_maker_for_one(value, model)
        if not maker or maker.op_type != rounding:
            return None
        value = maker.input[0]
    return _find_maker_for_one(value, model)


def _find_maker_for_one(value: str, model: ModelProto) -> NodeProto | None:
    """The node that computes a value; ``None`` if several nodes read it."""
    has_one_reader = len(find_readers(value, model)) == 1
    return find_maker(value, model) if has_one_reader else None


def _find_joinable(node: NodeProto, model: ModelProto) -> tuple[str, ...]:
    """The kinds of operations that may be one with this node."""
    if node.op_type in ("Conv", "Gemm"):
        return ("LeakyRelu",)
    if node.op_type == "LayerNormalization":
        return ("Mul", "Add", "LeakyRelu")
    maker = find_maker(node.input[0], model)
    if node.op_type not in SCALING or not maker:
        return ()
    if node.op_type not in _find_joinable(maker, model):
        return ()
    return ("Add", "LeakyRelu") if node.op_type == "Mul" else ("LeakyRelu",)


def _leave_logits(model: ModelProto) -> None:
    """Have the last layer give the logits themselves, where they would be rounded
    first.
    """
    logits = model.graph.output[0].name
    last = find_maker(logits, model)
    assert last
    kept = _find_last_layer(model)
    last.output[0] = f"{logits}_rounded"
    for following, node in pairwise(kept):
        following.input[0] = node.output[0]
    kept[0].output[0] = logits
    remove_unread(model)


def _find_last_layer(model: ModelProto) -> list[NodeProto]:
    """The last layer and the reshapes behind it, from the logits back."""
    kept: list[NodeProto] = []
    node = find_maker(model.graph.output[0].name, model)
    while node:
        if node.op_type not in ROUNDING_NODES:
            kept.append(node)
            if node.op_type not in RESHAPE_NODES:
                break
        node = find_maker(node.input[0], model)
    return kept
