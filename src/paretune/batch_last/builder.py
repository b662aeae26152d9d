"""Telling a network to the kernels, layer by layer."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from paretune.batch_last.errors import UnknownLayerError, require
from paretune.batch_last.memory import place_gradients
from paretune.batch_last.operations import Curve, Kind, Operation, Tensors, Window
from paretune.batch_last.parameters import Parameters
from paretune.batch_last.values import LANES, Gradient, MapShape, Value, count_floats

LONGEST_KERNEL = 32
# Beyond that torch is faster, and sums of lanes take a gigabyte.
MOST_PARAMETERS = 50_000


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight and bias of a layer, as torch orders them; a norm may have neither."""

    weight: Tensor | None
    bias: Tensor | None = None


@dataclass(frozen=True, slots=True)
class RunningStatistics:
    """The statistics of a batch norm, and how much of them (``momentum``) a new batch
    replaces.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float


@dataclass(slots=True)
class Plan:
    """The operations of a network in one mode, and the memory of one block of images
    that they work in, in floats.

    ``scratch_floats`` is what the backward pass takes beside a block; ``counters`` are
    increased by each training pass.
    """

    operations: list[Operation]
    parameters: Parameters
    logits: Value
    block_floats: int
    scratch_floats: int
    counters: list[Tensor] = field(default_factory=list)


class Builder:
    """Adds the layers of a network one after the other.

    Each method takes the value that comes in and returns what comes out. All methods
    raise
    :class:`~paretune.batch_last.errors.UnknownLayerError` for what the kernels do not
    know, such as a value that two layers read: its gradients would have to be added up.
    """

    def __init__(
        self, image_shape: Sequence[int], parameters: Parameters, *, training: bool
    ) -> None:
        if parameters.count > MOST_PARAMETERS:
            raise UnknownLayerError(
                f"{parameters.count:,} parameters, more than {MOST_PARAMETERS:,}"
            )
        self.parameters = parameters
        self.training = training

        self.operations: list[Operation] = []
        self.counters: list[Tensor] = []
        self.floats = 0
        self.scratch_floats = LANES

        maps, rows, columns = image_shape
        self.image = self._make((maps, rows, columns), trained=False)

    def finish(self, logits: Value) -> Plan:
        """The plan of the network whose last layer gives ``logits``."""
        has_pixels = logits.shape[1:] != (1, 1)
        require(not has_pixels, f"an output of {logits.shape}")
        return Plan(
            operations=self.operations,
            parameters=self.parameters,
            logits=logits,
            block_floats=place_gradients(self.operations, start=self.floats),
            scratch_floats=self.scratch_floats,
            counters=self.counters,
        )

    def convolve(self, x: Value, weights: Weights, window: Window) -> Value:
        """A convolution of all maps to all maps, with weights ``(out maps, maps, rows,
        columns)``.
        """
        weight = _require_weight(weights)
        seen_at_once = x.maps * window.rows * window.columns
        _require_fit(weight, x, weight[0].numel() == seen_at_once)

        y = self._slide(x, window, maps=len(weight))
        operation = Operation(Kind.CONVOLUTION, x, y)
        operation.window = window
        self._set_weights(operation, weights, summed_at_once=weight.numel())

        return self._add(operation)

    def filter_maps(self, x: Value, weights: Weights, window: Window) -> Value:
        """A depthwise convolution: map ``m`` by kernel ``m % kernels`` of weights
        ``(kernels, 1, rows, columns)``.
        """
        weight = _require_weight(weights)
        _require_fit(weight, x, weight[0].numel() == window.rows * window.columns)

        y = self._slide(x, window, maps=x.maps)
        operation = Operation(Kind.DEPTHWISE, x, y)
        operation.window = window
        operation.kernels = len(weight)
        self._set_weights(operation, weights, summed_at_once=weight[0].numel())

        return self._add(operation)

    def connect(self, x: Value, weights: Weights) -> Value:
        """A dense layer with weights ``(out values, values)``, of values without rows
        and columns.
        """
        weight = _require_weight(weights)
        values = weight.shape[1]
        _require_fit(weight, x, x.shape == (values, 1, 1))
        return self.convolve(x, weights, Window())

    def rectify(self, x: Value, slope: float = 0.0) -> Value:
        """A (leaky) ReLU: part of the convolution or norm that made ``x``, if one
        did.
        """
        if x.maker is None:
            operation = Operation(Kind.ACTIVATION, x, self._make_like(x))
            operation.curve = Curve.LEAKY
            operation.slope = slope
            return self._add(operation)

        maker = self.operations[x.maker]
        maker.slope = slope
        y = self.keep(x)
        y.maker = None
        return y

    def apply_silu(self, x: Value) -> Value:
        """SiLU."""
        y = self._make_like(x)
        operation = Operation(Kind.ACTIVATION, x, y)
        operation.curve = Curve.SILU

        return self._add(operation)

    def apply_prelu(self, x: Value, weights: Weights) -> Value:
        """A leaky ReLU whose slopes, one or one for each map, are trained."""
        weight = _require_weight(weights)
        y = self._make(x.shape, trained=True)
        operation = Operation(Kind.ACTIVATION, x, y)
        operation.curve = Curve.PRELU
        operation.per_map = weight.numel() > 1
        operation.tensors = Tensors(weight)

        return self._add(operation)

    def normalise_batch(
        self, x: Value, weights: Weights, statistics: RunningStatistics, eps: float
    ) -> Value:
        """A batch norm; in evaluation mode one of the running statistics."""
        y = self._make_foldable(x.shape)
        operation = Operation(Kind.AFFINE, x, y)
        if self.training:
            operation.kind = Kind.BATCH_NORM
            self.counters.append(statistics.batches)
        operation.eps = eps
        operation.momentum = statistics.momentum
        operation.per_map = True
        operation.scratch = self._reserve(x.maps * LANES)
        operation.tensors = Tensors(
            weights.weight,
            weights.bias,
            statistics.mean,
            statistics.variance,
            packed=torch.empty(2 * x.maps),
            flipped=torch.empty(2 * x.maps),
        )

        return self._add(operation)

    def normalise_groups(
        self,
        x: Value,
        weights: Weights,
        groups: int,
        eps: float,
        *,
        per_map: bool = True,
    ) -> Value:
        """A norm within an image, over each of ``groups`` groups of maps; its scale may
        be one for all maps.
        """
        y = self._make_foldable(x.shape)
        operation = Operation(Kind.GROUP_NORM, x, y)
        operation.groups = groups
        operation.eps = eps
        operation.per_map = per_map
        operation.scratch = self._reserve(2 * groups * LANES)
        operation.tensors = Tensors(weights.weight, weights.bias)

        return self._add(operation)

    def pool(self, x: Value, stride: int, rows: int = 2) -> Value:
        """The largest of 2 x 2 pixels, or of 1 x 2 in maps of one row, one or two
        pixels apart.
        """
        require(stride in (1, 2), f"a pool with stride {stride}")
        window = Window(rows, 2, stride=stride)
        _require_flat_if_low(window, x)
        rows, columns = window.slide(x)

        y = self._make_after(x, (x.maps, rows, columns))
        operation = Operation(Kind.MAX_POOL, x, y)
        operation.window = window

        return self._add(operation)

    def pool_means(self, x: Value, size: int, rows: int | None = None) -> Value:
        """The mean of each ``size`` x ``size`` pixels, or of ``rows`` x ``size`` in maps
        of one row, ``size`` apart.
        """
        window = Window(rows or size, size, stride=size)
        _require_flat_if_low(window, x)
        rows, columns = window.slide(x)

        y = self._make_after(x, (x.maps, rows, columns))
        operation = Operation(Kind.MEAN_POOL, x, y)
        operation.window = window

        return self._add(operation)

    def pad(self, x: Value, rows: int, columns: int, filling: float) -> Value:
        """So many more rows below and columns on the right, full of one number."""
        maps, given_rows, given_columns = x.shape
        y = self._make_after(x, (maps, given_rows + rows, given_columns + columns))
        operation = Operation(Kind.PAD, x, y)
        operation.filling = filling

        return self._add(operation)

    def average(self, x: Value) -> Value:
        """The mean of each map."""
        y = self._make_after(x, (x.maps, 1, 1))
        operation = Operation(Kind.MEAN, x, y)
        return self._add(operation)

    def repeat(self, x: Value, maps: int) -> Value:
        """The maps over and over, until there are ``maps`` of them."""
        _, rows, columns = x.shape
        y = self._make_after(x, (maps, rows, columns))
        operation = Operation(Kind.REPEAT, x, y)
        return self._add(operation)

    def drop(self, x: Value, rate: float, *, whole_maps: bool) -> Value:
        """A dropout of values or of maps; nothing in evaluation mode."""
        if not self.training or not rate:
            return self.keep(x)
        require(rate < 1, f"a dropout of {rate}")

        y = self._make_like(x)
        operation = Operation(Kind.DROPOUT, x, y)
        operation.rate = rate
        operation.drops_maps = whole_maps

        return self._add(operation)

    def keep(self, x: Value) -> Value:
        """The same numbers by another name, in place of ``x``."""
        _mark_read(x)
        y = copy(x)
        y.is_read = False
        return y

    def flatten(self, x: Value) -> Value:
        """The same numbers without rows and columns."""
        y = self.keep(x)
        y.shape = (prod(x.shape), 1, 1)
        y.maker = None
        return y

    def join(self, parts: Sequence[Value]) -> Value:
        """The maps of ``parts``, one after the other."""
        maps = sum(part.maps for part in parts)
        _, rows, columns = parts[0].shape
        whole = self._make((maps, rows, columns), trained=True)

        offset = 0
        for part in parts:
            require(part.shape[1:] == (rows, columns), "parts of several sizes")
            place = Value(part.shape, whole.at + offset, whole.gradient, offset)
            copying = Operation(Kind.REPEAT, part, place)
            self._add(copying)
            offset += count_floats(part.shape)
        return whole

    def _slide(self, x: Value, window: Window, maps: int) -> Value:
        """Room for what kernels make of ``x``."""
        fits_rows = window.pad_rows < window.rows <= LONGEST_KERNEL
        fits_columns = window.pad_columns < window.columns <= LONGEST_KERNEL
        require(fits_rows and fits_columns, f"a kernel of {window}")

        rows, columns = window.slide(x)
        return self._make_foldable((maps, rows, columns))

    def _set_weights(
        self, operation: Operation, weights: Weights, summed_at_once: int
    ) -> None:
        """``summed_at_once``: how many weights' gradients are summed at the same time,
        a register for each.
        """
        weight = _require_weight(weights)
        operation.tensors = Tensors(
            weight,
            weights.bias,
            packed=torch.empty(weight.numel()),
            flipped=torch.empty(weight.numel()),
        )
        floats = LANES * summed_at_once
        self.scratch_floats = max(self.scratch_floats, floats)

    def _add(self, operation: Operation) -> Value:
        """Add an operation; returns what it makes."""
        _mark_read(operation.x)
        tensors = operation.tensors
        for name, tensor in tensors.present():
            require(_is_plain(tensor), name)

        operation.weight_at = self._find_parameter(tensors.weight)
        operation.bias_at = self._find_parameter(tensors.bias)
        self.operations.append(operation)

        return operation.y

    def _find_parameter(self, parameter: Tensor | None) -> int:
        """Where the gradient of a parameter starts in that of them all; -1 if there is
        none.
        """
        if parameter is None:
            return -1
        start = self.parameters.find(parameter)
        is_frozen = start < 0
        require(not (self.training and is_frozen), "a frozen parameter")
        return start

    def _make(self, shape: MapShape, *, trained: bool) -> Value:
        """Room for a value, and for its gradient if something before it is
        ``trained``.
        """
        floats = count_floats(shape)
        value = Value(shape, self._reserve(floats))
        if trained and self.training:
            value.gradient = Gradient(floats)
        return value

    def _make_after(self, x: Value, shape: MapShape) -> Value:
        """Room for what an operation without parameters makes of ``x``."""
        return self._make(shape, trained=x.is_trained)

    def _make_like(self, x: Value) -> Value:
        return self._make_after(x, x.shape)

    def _make_foldable(self, shape: MapShape) -> Value:
        """Room for what the operation that is added next makes, which can take over a
        ReLU.
        """
        value = self._make(shape, trained=True)
        value.maker = len(self.operations)
        return value

    def _reserve(self, floats: int) -> int:
        start = self.floats
        self.floats += floats
        return start


def _mark_read(x: Value) -> None:
    if x.is_read and x.is_trained:
        raise UnknownLayerError("two layers on one value")
    x.is_read = True


def _require_flat_if_low(window: Window, x: Value) -> None:
    """A window of fewer rows than columns moves down by as much as it moves right, so
    that it would leave rows out.
    """
    is_square = window.rows == window.columns
    require(is_square or window.rows == x.shape[1] == 1, f"a pool of {window}")


def _require_weight(weights: Weights) -> Tensor:
    if weights.weight is None:
        raise UnknownLayerError("a layer without weights")
    return weights.weight


def _require_fit(weight: Tensor, x: Value, is_fitting: bool) -> None:
    if not is_fitting:
        shape = tuple(weight.shape)
        raise UnknownLayerError(f"weights {shape} on values {x.shape}")


def _is_plain(tensor: Tensor) -> bool:
    """Whether the kernels can read a tensor where it lies."""
    is_float = tensor.dtype == torch.float32
    is_here = tensor.device.type == "cpu"
    return is_float and is_here and tensor.is_contiguous()
