"""A C99 header: the weights, and a forward pass that needs nothing but the C library's
``expf`` and ``sqrtf``.

For microcontrollers: no allocation, no file, one static block of memory, weights in
constant storage.
"""

from pathlib import Path

from paretune.atomic import atomically
from paretune.deploy.c_calls import Calls
from paretune.deploy.c_kernels import choose_kernels
from paretune.deploy.c_program import run_c
from paretune.deploy.c_template import render_header
from paretune.deploy.c_text import c_name
from paretune.deploy.model import Deployable, check_same_outputs
from paretune.deploy.refusals import naming_layer
from paretune.memory import plan_memory
from paretune.operations import find_graph_buffers


def write_c(model: Deployable, path: Path, about: str) -> float:
    """Write the header, compile it, compare it with torch on the samples; returns the
    largest difference of a logit.

    ``about`` is the comment at its top. Raises :class:`~paretune.errors.ExportError`,
    and leaves no file, if the outputs differ, if an operation cannot be written in C,
    or if there is no compiler to check it with.
    """
    name = c_name(path)
    with atomically(path) as partial:
        partial.write_text(_write_header(model, name, about), encoding="utf-8")
        outputs = run_c(partial, name, model.samples.numpy())
        return check_same_outputs("the C header", outputs, model.logits())


def _write_header(model: Deployable, name: str, about: str) -> str:
    graph = model.find_graph()
    memory = plan_memory(find_graph_buffers(graph, with_image=False))
    calls = Calls(graph, memory)
    lines = _write_calls(calls, model)
    rows, pooling = "", ""
    if graph.image_pool and not model.net.views:
        rows = calls.write_rows(graph.image_pool)
        pooling, *lines = lines
    last = graph.nodes[-1]
    return render_header(
        "model.h",
        model,
        about,
        name=name,
        classes=last.size,
        kernels=choose_kernels(calls.used),
        calls=lines,
        rows=rows,
        pooling=pooling,
        pool=graph.pool_window,
        weights=calls.describe_weights(),
        n_weights=sum(tensor.numel() for tensor in calls.weights.values()),
        memory=memory.size,
        result=memory.offsets[last.output],
    )


def _write_calls(calls: Calls, model: Deployable) -> list[str]:
    lines = []
    for node in calls.graph.nodes:
        with naming_layer(model, node.layer):
            lines.extend(calls.write(node))
    return lines
