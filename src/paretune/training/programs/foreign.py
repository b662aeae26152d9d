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
    # torch.fx lets through whatever a forward pass raises for a tensor without values.
    except Exception as error:
        raise UnknownLayerError(str(error)) from error
    values: dict[fx.Node, Value] = {}
    for node in nodes:
        if node.op == "output":
            return _read_input(node, values)
        values[node] = _add(builder, net, node, values)
    raise UnknownLayerError("no output")


class _Tracer(fx.Tracer):
    """Sees each module that the kernels know as one."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def _add(
    builder: Builder, net: nn.Module, node: fx.Node, values: Mapping[fx.Node, Value]
) -> Value:
    match node.op, node.target:
        case "placeholder", _:
            return builder.image
        case "call_module", name:
            module = net.get_submodule(str(name))
            return add_module(builder, module, _read_input(node, values))
        case "call_function", torch.cat:
            require(_has_setting(node, "dim", 1), node)
            return builder.join(_read_parts(node, values))
        case "call_method", "mean":
            require(_has_setting(node, "dim", (2, 3)), node)
            return builder.average(_read_input(node, values))
        case _:
            raise UnknownLayerError(str(node))


def _read_input(node: fx.Node, values: Mapping[fx.Node, Value]) -> Value:
    """The first of the values that come in."""
    return values[node.all_input_nodes[0]]


def _read_parts(node: fx.Node, values: Mapping[fx.Node, Value]) -> list[Value]:
    """The values that a concatenation joins; one may be among them twice."""
    parts: Any = node.kwargs.get("tensors") or node.args[0]
    return [values[part] for part in parts]


def _has_setting(node: fx.Node, name: str, value: object) -> bool:
    """Whether an argument, given by its name or as the second one, has the value."""
    if node.kwargs.get(name) == value:
        return True
    return len(node.args) > 1 and node.args[1] == value
