"""The costs of a network, in closed form from its layers: the same numbers as a trace of
the built network, in microseconds.

RAM and flash for weights are those of the exported C code, as
:data:`paretune.costs.COSTS` says.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from paretune.costs import BYTES, CHANNEL_BYTES, TABLE_BYTES, Footprint
from paretune.layers.image_pool import begins_with_pool, count_row_sums
from paretune.layers.types import (
    Activation,
    Conv,
    Depthwise,
    Layers,
    Linear,
    Norm,
    RepeatMaps,
    Shape,
)
from paretune.layers.unroll import (
    IMAGE_NUMBER,
    Application,
    leave_out_idle,
    once_each,
    unroll,
)
from paretune.layers.windows import count_taps
from paretune.memory import MemoryUse, find_buffers, measure_needs


def count_parameters(layers: Layers, image_shape: Shape) -> int:
    """Trainable scalars of a network: weights, biases, norm scale and shift, learnable
    slopes; what is shared counts once.
    """
    return sum(
        _count_parameters(application)
        for application in once_each(unroll(layers, image_shape))
    )


@dataclass(frozen=True)
class Unrolled:
    """A network as it is counted: its applications in order without views, those of
    each shared layer once, and the numbers (float32 or int8) it is exported in.
    """

    line: Sequence[Application]
    layers_once: Sequence[Application]
    image_shape: Shape
    dtype: str


def measure(layers: Layers, image_shape: Shape, dtype: str = "float32") -> Footprint:
    """All that one inference of a network takes, exported in ``dtype`` (float32 or
    int8).

    Raises :class:`~paretune.errors.ConfigError` where a layer does not fit on what
    comes in.
    """
    line = leave_out_idle(unroll(layers, image_shape))
    network = Unrolled(line, once_each(line), image_shape, dtype)
    return Footprint.of({name: count(network) for name, count in COUNTS.items()})


def _count_all_parameters(network: Unrolled) -> int:
    return sum(map(_count_parameters, network.layers_once))


def _count_all_macs(network: Unrolled) -> int:
    return sum(map(_count_macs, network.line))


def _list_ram_bytes(network: Unrolled) -> list[int]:
    """The bytes in use at each operation."""
    numbers = _measure_memory(network)
    return [BYTES[network.dtype] * in_use for in_use in numbers]


def _count_flash_bytes(network: Unrolled) -> int:
    if network.dtype == "int8":
        return _count_int8_flash(network.line, network.layers_once)
    return BYTES[network.dtype] * sum(map(_count_stored, network.layers_once))


# By the names of the costs.
COUNTS: dict[str, Callable[[Unrolled], int | Sequence[int]]] = {
    "params": _count_all_parameters,
    "macs": _count_all_macs,
    "ram_bytes": _list_ram_bytes,
    "flash_bytes": _count_flash_bytes,
}


def _count_parameters(application: Application) -> int:
    layer = application.layer
    maps_in = application.shape_in[0]
    match layer:
        case Conv():
            return layer.maps * (maps_in * count_taps(layer) + layer.bias)
        case Depthwise():
            kernels = maps_in if layer.kernels is None else layer.kernels
            return kernels * count_taps(layer) + layer.bias * maps_in
        case Linear():
            return layer.units * (maps_in + layer.bias)
        case Norm(kind="scalar"):
            return 2
        case Norm():
            return 2 * maps_in
        case Activation(kind="prelu"):
            return 1
        case _:
            return 0


def _count_macs(application: Application) -> int:
    layer = application.layer
    match layer:
        case Conv():
            taps = application.shape_in[0] * count_taps(layer)
            return prod(application.shape) * taps
        case Depthwise():
            return prod(application.shape) * count_taps(layer)
        case Linear(units=units):
            return units * application.shape_in[0]
        case _:
            return 0


def _count_stored(application: Application) -> int:
    """Numbers that the float code keeps of a layer: kernels that maps share are written
    out for each map.
    """
    layer = application.layer
    match layer:
        case Depthwise(bias=bias):
            return application.shape_in[0] * (count_taps(layer) + bias)
        case _:
            return _count_parameters(application)


def _count_int8_flash(
    line: Sequence[Application], layers_once: Iterable[Application]
) -> int:
    """Weights once, however often they are applied; what a channel needs at every
    application, which has its own ranges.
    """
    weights = sum(_count_int8_weights(application) for application in layers_once)
    return weights + _count_int8_applied(line)


def _count_int8_weights(application: Application) -> int:
    layer = application.layer
    match layer:
        case Conv():
            taps = application.shape_in[0] * count_taps(layer)
            return application.shape[0] * taps
        case Depthwise():
            return application.shape[0] * count_taps(layer)
        case Linear(units=units):
            return units * application.shape_in[0]
        case Norm(kind="batch"):
            return 0  # a factor and a shift of each application
        case Norm() | Activation():
            return _count_parameters(application)
        case _:
            return 0


def _count_int8_applied(line: Sequence[Application]) -> int:
    readers = Counter(value for application in line for value in application.inputs)
    sums: set[int] = set()  # of layers that a batch norm behind them joins
    total = 0
    for application in line:
        channels = application.shape[0]
        match application.layer:
            case Conv() | Depthwise() | Linear():
                total += CHANNEL_BYTES * channels
                if readers[application.output] == 1:
                    sums.add(application.output)
            case Norm(kind="batch") if application.inputs[0] not in sums:
                total += CHANNEL_BYTES * channels
            case Activation(kind="silu"):
                total += TABLE_BYTES
            case _:
                pass
    return total


def _measure_memory(network: Unrolled) -> list[int]:
    """Numbers of which the largest is what the memory must hold: see
    :func:`paretune.memory.measure_needs`.

    An image that is pooled first comes in row by row, so that only what is pooled of it
    is held.
    """
    operations = find_operations(network.line)
    is_pooled = begins_with_pool(network.line)
    if is_pooled:
        sums = count_row_sums(network.line[0].shape, network.dtype)
        operations[0] = replace(operations[0], scratch=sums)
    buffers = find_buffers(
        operations, IMAGE_NUMBER, prod(network.image_shape), with_image=not is_pooled
    )
    return measure_needs(len(operations), buffers)


def find_operations(line: Iterable[Application]) -> list[MemoryUse]:
    """The applications as a memory plan takes them; no views are among them."""
    operations: list[MemoryUse] = []
    for application in line:
        if isinstance(application.layer, RepeatMaps):
            operations += _find_operations_of_repeated(
                application, application.layer.maps
            )
        else:
            overwrites = isinstance(application.layer, Norm | Activation)
            operations.append(
                MemoryUse(
                    application.inputs,
                    application.output,
                    prod(application.shape),
                    overwrites,
                )
            )
    return operations


def _find_operations_of_repeated(
    application: Application, maps: int
) -> list[MemoryUse]:
    """Repeated maps are joined as often as they fit whole, and once more; then they are
    cut.
    """
    maps_in = application.shape_in[0]
    times = -(-maps // maps_in)
    size = prod(application.shape)
    if times == 1 or times * maps_in == maps:
        return [MemoryUse(application.inputs * times, application.output, size, False)]
    joined = f"joined {application.output}"
    return [
        MemoryUse(
            application.inputs * times,
            joined,
            times * prod(application.shape_in),
            False,
        ),
        MemoryUse((joined,), application.output, size, False),
    ]
