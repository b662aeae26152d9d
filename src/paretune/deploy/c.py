"""A C99 header: the weights, and a forward pass that needs nothing but the C library's ``expf`` and ``sqrtf``.

For microcontrollers: no allocation, no file, one static block of memory, weights in constant storage.
"""

import re
from math import prod
from pathlib import Path
from textwrap import wrap

from jinja2 import Environment, PackageLoader

from paretune.deploy.check import compared
from paretune.deploy.compiled import run_c
from paretune.deploy.graph import graph_of
from paretune.deploy.kernels import Calls, number, sources
from paretune.deploy.memory import plan
from paretune.deploy.model import Deployable

__all__ = ["write_c"]

LINE = 110


def write_c(model: Deployable, path: Path, about: str) -> float:
    """Write the header, compile it, compare it with torch on the samples; returns the largest difference of a logit.

    ``about`` is the comment at its top. Raises :class:`~paretune.errors.ExportError`, and leaves no file, if the outputs
    differ, if an operation cannot be written in C, or if there is no compiler to check it with.
    """
    partial = path.with_name(f"{path.stem}.partial.h")
    name = re.sub(r"\W|^(?=\d)", "_", path.stem)
    try:
        partial.write_text(_header(model, name, about))
        difference = compared("the C header", run_c(partial, name, model.samples.numpy()), model.logits())
    except Exception:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    return difference


def _header(model: Deployable, name: str, about: str) -> str:
    graph = graph_of(model.net, model.image_shape)
    memory = plan(graph)
    calls = Calls(graph, memory)
    lines = [call for op in graph.ops for call in calls.of(op)]
    template = Environment(loader=PackageLoader("paretune.deploy"), trim_blocks=True, lstrip_blocks=True)
    return template.get_template("model.h").render(
        name=name, about=about.splitlines(), kernels=sources({op.kind for op in graph.ops}), calls=lines,
        weights={label: _numbers(tensor.reshape(-1).tolist()) for label, tensor in calls.weights.items()},
        sizes={label: tensor.numel() for label, tensor in calls.weights.items()},
        memory=memory.size, pixels=prod(model.image_shape), classes=graph.ops[-1].size,
        result=memory.offsets[graph.ops[-1].output],
    )  # fmt: skip


def _numbers(values: list[float]) -> str:
    return "\n  ".join(wrap(", ".join(map(number, values)), LINE, break_on_hyphens=False))
