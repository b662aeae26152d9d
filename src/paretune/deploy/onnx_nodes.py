"""Finding one's way through the nodes of an ONNX file."""

from onnx import ModelProto, NodeProto

# Values stay as they are.
RESHAPE_NODES = (
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Cast",
    "Dropout",
)
SCALING = ("Mul", "Add")  # of the image
POOL = "AveragePool"  # of the image, before it is scaled


def find_maker(value: str, model: ModelProto) -> NodeProto | None:
    """The node that computes a value; ``None`` for an input or a constant."""
    makers: list[NodeProto] = [
        node for node in model.graph.node if value in node.output
    ]
    return makers[0] if makers else None


def find_readers(value: str, model: ModelProto) -> list[NodeProto]:
    """The nodes that read a value."""
    return [node for node in model.graph.node if value in node.input]


def is_constant(value: str, model: ModelProto) -> bool:
    """Whether a value is stored in the file, perhaps in whole numbers."""
    maker = find_maker(value, model)
    stored = maker.input[0] if maker else value
    return any(tensor.name == stored for tensor in model.graph.initializer)


def find_scaling_nodes(model: ModelProto) -> list[NodeProto]:
    """The nodes that scale the image, behind the one that pools it, if there is one."""
    pools = _find_image_pool(model)
    source = pools[0].output[0] if pools else model.graph.input[0].name
    scaled = {source}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        reads_scaled = not scaled.isdisjoint(node.input)
        if node.op_type in SCALING and reads_scaled:
            scaled.update(node.output)
            nodes.append(node)
    return [*pools, *nodes[: len(SCALING)]]


def _find_image_pool(model: ModelProto) -> list[NodeProto]:
    """The node that pools the image, where that is the first that is done to it."""
    readers = find_readers(model.graph.input[0].name, model)
    return readers if [node.op_type for node in readers] == [POOL] else []


def read_layer(node: NodeProto) -> str:
    """The name of the module that a node stands for, as
    :func:`~paretune.deploy.onnx.write_onnx` has named it.
    """
    return str(node.name.rpartition("/")[0])


def remove_unread(model: ModelProto) -> None:
    """Remove nodes, and constants, that nothing reads any more."""
    wanted = {output.name for output in model.graph.output}
    for node in reversed(list(model.graph.node)):
        if wanted & set(node.output):
            wanted.update(node.input)
        else:
            model.graph.node.remove(node)
    for tensor in list(model.graph.initializer):
        if tensor.name not in wanted:
            model.graph.initializer.remove(tensor)
