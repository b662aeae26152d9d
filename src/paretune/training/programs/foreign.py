"""The program of any other network, whose forward pass :mod:`torch.fx` follows."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from paretune.batch_last import Builder, UnknownLayerError, Value, require
from paretune.training.programs.modules import MODULES, add_module


def add_foreign(builder: Builder, net: nn.Module) -> Value:
    """Add what the forward pass of ``net`` does; returns its logits.

    Raises :class:`~paretune.batch_last.UnknownLayerError` if it cannot be followed, or
    does what the kernels do not know.
    """
    try:
        nodes = list(_Tracer().trace(net).nodes)
    except Exception as error:  # torch.fx lets through whatever a forward pass raises for a tensor without values
        raise UnknownLayerError(str(error)) from error
    values: dict[fx.Node, Value] = {}
    for node in nodes:
        if node.op == "output":
            return _read_inputs(node, values)[0]
        values[node] = _add(builder, net, node, values)
    raise UnknownLayerError("no output")


class _Tracer(fx.Tracer):
    """Sees each module that the kernels know as one."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def _add(
    builder: Builder, net: nn.Module, node: fx.Node, values: Mapping[fx.Node, Value]
) -> Value:
    if node.op == "placeholder":
        return builder.image
    inputs = _read_inputs(node, values)
    if node.op == "call_module":
        return add_module(builder, net.get_submodule(str(node.target)), inputs[0])
    if node.op == "call_function" and node.target is torch.cat:
        require(_has_setting(node, "dim", 1), node)
        return builder.join(_read_parts(node, values))
    if node.op == "call_method" and node.target == "mean":
        require(_has_setting(node, "dim", (2, 3)), node)
        return builder.average(inputs[0])
    raise UnknownLayerError(str(node))


def _read_inputs(node: fx.Node, values: Mapping[fx.Node, Value]) -> list[Value]:
    return [values[argument] for argument in node.all_input_nodes]


def _read_parts(node: fx.Node, values: Mapping[fx.Node, Value]) -> list[Value]:
    """What a concatenation joins; a value may be among it twice."""
    parts: Any = node.kwargs.get("tensors") or node.args[0]
    return [values[part] for part in parts]


def _has_setting(node: fx.Node, name: str, expected: Any) -> bool:
    """Whether an argument, given by its name or as the second one, is as expected."""
    return expected in (node.kwargs.get(name), *node.args[1:2])
