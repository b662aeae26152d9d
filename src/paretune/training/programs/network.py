"""The program of a network that is a list of layers."""

from paretune.batch_last import Builder, Value
from paretune.layers.unroll import IMAGE_NUMBER, Application, Join, unroll
from paretune.models.network import Network
from paretune.training.programs.modules import add_module


def add_network(builder: Builder, net: Network) -> Value:
    """Add the layers of ``net`` in the order of one inference; returns its logits.

    Raises :class:`~paretune.batch_last.UnknownLayerError` if the kernels do not know
    one.
    """
    last = builder.image
    values = {IMAGE_NUMBER: last}
    for application in unroll(net.layers, builder.image.shape):
        inputs = [values[number] for number in application.inputs]
        last = _add(builder, net, application, inputs)
        values[application.output] = last
    return last


def _add(
    builder: Builder, net: Network, application: Application, inputs: list[Value]
) -> Value:
    if isinstance(application.layer, Join):
        return builder.join(inputs)
    module = net.get_submodule(application.name)  # holds the layer's parameters
    return add_module(builder, module, inputs[0])
