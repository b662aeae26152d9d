"""Test-time augmentation in an ONNX file: the mean of the logits over several views of
an image, as one batch.
"""

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from paretune.models.views import Views


def average_views(single_view: ModelProto, views: Views) -> ModelProto:
    """A file like ``single_view``, which sees an image as it is alone, that has the
    mean over ``views``.
    """
    proto = ModelProto()
    proto.CopyFrom(single_view)
    copies = [f"copy_{number}" for number in range(len(views.corners))]
    _, classes = _find_sides(single_view.graph.output[0])
    constants = _find_cuts(copies, views, single_view)
    reach = views.reach
    constants["pads"] = [0, 0, reach.rows, reach.columns] * 2  # before, then behind
    constants["sides"] = [2, 3]  # rows and columns
    constants["by_copy"] = [len(copies), -1, classes]
    constants["over"] = [0]  # the copies
    _rename_ends(proto)
    nodes = [*_make_copies(copies), *proto.graph.node, *_make_mean()]
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend(nodes)
    for name, numbers in constants.items():
        tensor = numpy_helper.from_array(np.array(numbers), name)
        proto.graph.initializer.append(tensor)
    return proto


def _find_cuts(
    copies: list[str], views: Views, single_view: ModelProto
) -> dict[str, list[int]]:
    """Where each copy begins and ends in rows and columns of the padded image."""
    _, _, height, width = _find_sides(single_view.graph.input[0])
    cuts: dict[str, list[int]] = {}
    for copy, corner in zip(copies, views.corners, strict=True):
        row, column = corner
        cuts[f"{copy}_from"] = [row, column]
        cuts[f"{copy}_to"] = [row + height, column + width]
    return cuts


def _rename_ends(proto: ModelProto) -> None:
    """Have the nodes read the copies in place of the images, and give their logits."""
    for node in proto.graph.node:
        node.input[:] = ["copies" if name == "images" else name for name in node.input]
        node.output[:] = [
            "logits_of_copies" if name == "logits" else name for name in node.output
        ]


def _make_copies(copies: list[str]) -> list[NodeProto]:
    """The nodes that put the views behind each other in one batch; what comes in
    repeats the edge.
    """
    nodes = [helper.make_node("Pad", ["images", "pads"], ["padded"], mode="edge")]
    for copy in copies:
        cut = ["padded", f"{copy}_from", f"{copy}_to", "sides"]
        nodes.append(helper.make_node("Slice", cut, [copy]))
    nodes.append(helper.make_node("Concat", copies, ["copies"], axis=0))
    return nodes


def _make_mean() -> list[NodeProto]:
    """The nodes that have the mean of the logits over the views."""
    by_copy = helper.make_node(
        "Reshape", ["logits_of_copies", "by_copy"], ["logits_by_copy"]
    )
    mean = helper.make_node(
        "ReduceMean", ["logits_by_copy", "over"], ["logits"], keepdims=0
    )
    return [by_copy, mean]


def _find_sides(value: Any) -> list[int]:
    return [side.dim_value for side in value.type.tensor_type.shape.dim]
