"""One module of a network as one layer of a program: the settings and weights of
torch's modules and of our own, as the kernels take them.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from paretune.batch_last import (
    Builder,
    RunningStatistics,
    UnknownLayerError,
    Value,
    Weights,
    Window,
    require,
)
from paretune.models.modules import MapMeans, RepeatedMaps, ScalarNorm, SharedDepthwise


def add_module(builder: Builder, module: nn.Module, x: Value) -> Value:
    """Add ``module`` applied to ``x``; returns its output.

    Raises :class:`~paretune.batch_last.UnknownLayerError` if the kernels do not know
    it, or not with its settings.
    """
    add = MODULES.get(type(module))
    if add is None:
        raise UnknownLayerError(f"layer {type(module).__name__}")
    return add(builder, module, x)


def _add_identity(builder: Builder, _: nn.Identity, x: Value) -> Value:
    return builder.keep(x)


def _add_flatten(builder: Builder, _: nn.Flatten, x: Value) -> Value:
    return builder.flatten(x)


def _add_conv(builder: Builder, conv: nn.Conv2d, x: Value) -> Value:
    window = _find_window(conv, x)
    if conv.groups == 1:
        return builder.convolve(x, _find_weights(conv), window)
    require(conv.groups == x.maps == conv.out_channels, conv)
    return builder.filter_maps(x, _find_weights(conv), window)


def _add_shared_depthwise(builder: Builder, conv: SharedDepthwise, x: Value) -> Value:
    require(conv.groups == x.maps, conv)
    return builder.filter_maps(x, Weights(conv.weight), _find_window(conv, x))


def _find_window(conv: nn.Conv2d, x: Value) -> Window:
    rows, columns = conv.kernel_size
    is_flat = rows == x.shape[1] == 1
    stride = conv.stride[1] if is_flat else _find_single(conv.stride)
    is_plain = conv.padding_mode == "zeros" and conv.dilation == (1, 1)
    if stride is None or isinstance(conv.padding, str) or not is_plain:
        raise UnknownLayerError(str(conv))

    pad_rows, pad_columns = conv.padding
    return Window(rows, columns, pad_rows, pad_columns, stride)


def _add_linear(builder: Builder, linear: nn.Linear, x: Value) -> Value:
    return builder.connect(x, _find_weights(linear))


def _add_relu(builder: Builder, _: nn.ReLU, x: Value) -> Value:
    return builder.rectify(x)


def _add_leaky_relu(builder: Builder, relu: nn.LeakyReLU, x: Value) -> Value:
    return builder.rectify(x, relu.negative_slope)


def _add_silu(builder: Builder, _: nn.SiLU, x: Value) -> Value:
    return builder.apply_silu(x)


def _add_prelu(builder: Builder, prelu: nn.PReLU, x: Value) -> Value:
    return builder.apply_prelu(x, Weights(prelu.weight))


def _add_batch_norm(
    builder: Builder, norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Value
) -> Value:
    require(norm.affine and norm.track_running_stats, norm)
    statistics = RunningStatistics(
        mean=_require_tensor(norm.running_mean),
        variance=_require_tensor(norm.running_var),
        batches=_require_tensor(norm.num_batches_tracked),
        momentum=_require_number(norm, norm.momentum),
    )
    return builder.normalise_batch(x, _find_weights(norm), statistics, norm.eps)


def _add_group_norm(builder: Builder, norm: nn.GroupNorm, x: Value) -> Value:
    return builder.normalise_groups(x, _find_weights(norm), norm.num_groups, norm.eps)


def _add_instance_norm(builder: Builder, norm: nn.InstanceNorm2d, x: Value) -> Value:
    require(not norm.track_running_stats, norm)
    return builder.normalise_groups(x, _find_weights(norm), norm.num_features, norm.eps)


def _add_layer_norm(builder: Builder, norm: nn.LayerNorm, x: Value) -> Value:
    require((*norm.normalized_shape, 1, 1) == x.shape, norm)
    return builder.normalise_groups(x, _find_weights(norm), 1, norm.eps)


def _add_scalar_norm(builder: Builder, norm: ScalarNorm, x: Value) -> Value:
    return builder.normalise_groups(x, _find_weights(norm), 1, norm.eps, per_map=False)


def _add_max_pool(builder: Builder, pool: nn.MaxPool2d, x: Value) -> Value:
    rows, columns = _find_both(pool.kernel_size)
    require(columns == 2 and rows in (1, 2), pool)
    require(_find_single(pool.padding) == 0, pool)
    require(_find_single(pool.dilation) == 1, pool)
    require(not pool.ceil_mode, pool)

    is_flat = rows == x.shape[1] == 1
    stride = _find_both(pool.stride)[1] if is_flat else _find_single(pool.stride)
    if stride is None:
        raise UnknownLayerError(str(pool))
    return builder.pool(x, stride, rows)


def _add_mean_pool(builder: Builder, pool: nn.AvgPool2d, x: Value) -> Value:
    rows, columns = _find_both(pool.kernel_size)
    require(rows in (1, columns), pool)
    require(_find_both(pool.stride) == (rows, columns), pool)
    require(_find_single(pool.padding) == 0, pool)
    require(pool.divisor_override is None and not pool.ceil_mode, pool)
    return builder.pool_means(x, columns, rows)


def _add_pad(builder: Builder, pad: nn.ConstantPad2d, x: Value) -> Value:
    left, right, top, bottom = pad.padding
    require(left == top == 0 and right >= 0 and bottom >= 0, pad)
    return builder.pad(x, bottom, right, pad.value)


def _add_adaptive_mean(builder: Builder, pool: nn.AdaptiveAvgPool2d, x: Value) -> Value:
    require(_find_single(pool.output_size) == 1, pool)
    return builder.average(x)


def _add_means(builder: Builder, _: MapMeans, x: Value) -> Value:
    return builder.average(x)


def _add_repeated(builder: Builder, repeated: RepeatedMaps, x: Value) -> Value:
    return builder.repeat(x, repeated.maps)


def _add_dropout(builder: Builder, dropout: nn.Dropout, x: Value) -> Value:
    return builder.drop(x, dropout.p, whole_maps=False)


def _add_map_dropout(builder: Builder, dropout: nn.Dropout2d, x: Value) -> Value:
    return builder.drop(x, dropout.p, whole_maps=True)


def _find_weights(module: Any) -> Weights:
    return Weights(module.weight, module.bias)


def _require_tensor(buffer: Tensor | None) -> Tensor:
    """A buffer that a norm has that tracks statistics."""
    assert buffer is not None
    return buffer


def _require_number(norm: nn.Module, momentum: float | None) -> float:
    """Without a momentum torch averages over all batches."""
    if momentum is None:
        raise UnknownLayerError(str(norm))
    return momentum


def _find_both(value: Any) -> tuple[int, int]:
    """The setting of rows and of columns."""
    if isinstance(value, int):
        return value, value
    rows, columns = value
    return rows, columns


def _find_single(value: Any) -> int | None:
    """The setting of both directions; ``None`` if they differ."""
    if isinstance(value, int):
        return value
    first, second = value
    return first if first == second else None


MODULES: dict[type[nn.Module], Callable[[Builder, Any, Value], Value]] = {
    nn.Identity: _add_identity,
    nn.Flatten: _add_flatten,
    nn.Conv2d: _add_conv,
    SharedDepthwise: _add_shared_depthwise,
    nn.Linear: _add_linear,
    nn.ReLU: _add_relu,
    nn.LeakyReLU: _add_leaky_relu,
    nn.SiLU: _add_silu,
    nn.PReLU: _add_prelu,
    nn.BatchNorm1d: _add_batch_norm,
    nn.BatchNorm2d: _add_batch_norm,
    nn.GroupNorm: _add_group_norm,
    nn.InstanceNorm2d: _add_instance_norm,
    nn.LayerNorm: _add_layer_norm,
    ScalarNorm: _add_scalar_norm,
    nn.MaxPool2d: _add_max_pool,
    nn.AvgPool2d: _add_mean_pool,
    nn.ConstantPad2d: _add_pad,
    nn.AdaptiveAvgPool2d: _add_adaptive_mean,
    MapMeans: _add_means,
    RepeatedMaps: _add_repeated,
    nn.Dropout: _add_dropout,
    nn.Dropout2d: _add_map_dropout,
}
