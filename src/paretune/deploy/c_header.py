"""A C99 header: the weights, and a forward pass that needs nothing but the C library's
``expf`` and ``sqrtf``.

For microcontrollers: no allocation, no file, one static block of memory, weights in
constant storage.
"""

from pathlib import Path

from paretune.atomic import atomically
from paretune.deploy.c_calls import Calls, find_dynamic, function_of
from paretune.deploy.c_kernels import choose_kernels, read_kernels
from paretune.deploy.c_program import run_c
from paretune.deploy.c_template import render_header
from paretune.deploy.c_text import c_name
from paretune.deploy.model import Deployable, check_same_outputs
from paretune.deploy.refusals import naming_layer, require_known
from paretune.graph import Graph, buffers_of, graph_of
from paretune.memory import plan_memory


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
    graph = graph_of(model.single_view.net, model.image_shape)
    memory = plan_memory(buffers_of(graph, with_image=False))
    calls = Calls(graph, memory)
    _check_operations(model, graph)
    lines = _write_calls(calls, model)
    last = graph.ops[-1]
    return render_header(
        "model.h",
        model,
        about,
        name=name,
        classes=last.size,
        kernels=choose_kernels([line.partition("(")[0] for line in lines]),
        calls=lines,
        weights=calls.describe_weights(),
        n_weights=sum(tensor.numel() for tensor in calls.weights.values()),
        memory=memory.size,
        result=memory.offsets[last.output],
    )


def _check_operations(model: Deployable, graph: Graph) -> None:
    """Raise :class:`~paretune.errors.ExportError` for an operation that has no
    function.
    """
    kernels = read_kernels("kernels.c")
    for op in graph.ops:
        with naming_layer(model, op.layer):
            require_known(
                function_of(op) in kernels, op.kind, f"one of {', '.join(kernels)}"
            )
            dynamic = find_dynamic(op.settings)
            computed = f"{op.kind} with a {dynamic} that depends on the image"
            require_known(not dynamic, computed, "fixed numbers")


def _write_calls(calls: Calls, model: Deployable) -> list[str]:
    lines = []
    for op in calls.graph.ops:
        with naming_layer(model, op.layer):
            lines.extend(calls.write(op))
    return lines
