"""A C99 header: the weights, and a forward pass that needs nothing but the C library's ``expf`` and ``sqrtf``.

For microcontrollers: no allocation, no file, one static block of memory, weights in constant storage.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from textwrap import wrap
from typing import Any, NoReturn

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray
from torch import Tensor

from paretune.deploy.graph import Graph, MemoryPlan, Op, graph_of, plan
from paretune.deploy.model import Deployable, compared
from paretune.errors import ExportError

Shape = Sequence[int]


@dataclass
class Calls:
    """Writes calls; the tensors that they need gather in ``weights`` by their names in C, each once."""

    graph: Graph
    memory: MemoryPlan
    weights: dict[str, Tensor] = field(default_factory=dict)

    def of(self, op: Op) -> list[str]:
        """The calls of one operation.

        Raises :class:`~paretune.errors.ExportError` for settings that the functions do not know.
        """
        shapes = [self.graph.shapes[value] for value in op.inputs]
        if op.kind == "cat":
            sizes = [prod(shape) for shape in shapes]
            starts = [sum(sizes[:position]) for position in range(len(sizes))]
            parts = zip(op.inputs, starts, sizes, strict=True)
            return [f"cat({self._place(v)}, {self._place(op.output)} + {start}, {size});" for v, start, size in parts]
        arguments = ARGUMENTS.get(op.kind, _size)(op, shapes[0])
        words = [*map(self._place, op.inputs), self._place(op.output), *map(self._written, arguments)]
        return [f"{op.kind}({', '.join(words)});"]

    def _place(self, value: str) -> str:
        return "image" if value == self.graph.image else f"memory + {self.memory.offsets[value]}"

    def _written(self, argument: Any) -> str:
        if not isinstance(argument, Tensor):
            return "0" if argument is None else number(argument)
        label = next((name for name, known in self.weights.items() if known is argument), f"w{len(self.weights)}")
        self.weights[label] = argument
        return label


def sources(kinds: set[str]) -> list[str]:
    """The C functions of these kinds of operations, and the one that all norms call."""
    wanted = kinds | ({"normalise"} if any(kind.endswith("_norm") for kind in kinds) else set())
    text = (Path(__file__).parent / "templates/kernels.c").read_text()
    parts = re.findall(r"/\* kernel (\w+) \*/\n(.*?)\n(?=/\* kernel |\Z)", text, re.DOTALL)
    return [part.strip() for kind, part in parts if kind in wanted]


def number(value: float) -> str:
    """A number as a C constant, exact to the last bit of a float."""
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits = f"{value:.9g}"
    return f"{digits}f" if re.search(r"[.e]", digits) else f"{digits}.0f"


def _refuse(what: str, expected: str) -> NoReturn:
    raise ExportError(f"operation `{what}` cannot be written in C; expected {expected}; export without --c")


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [*value, *value][:2]


def _map(shape: Shape) -> list[int]:
    return [*shape, 1, 1][:3]


def _size(op: Op, shape: Shape) -> list[Any]:
    return [op.size]


def _conv2d(op: Op, shape: Shape) -> list[Any]:
    s = op.settings
    if _pair(s.get("dilation", 1)) != [1, 1]:
        _refuse("conv2d with dilation", "none")
    around = [*_pair(s.get("stride", 1)), *_pair(s.get("padding", 0))]
    return [s["weight"], s.get("bias"), *shape, *op.shape, *s["weight"].shape[2:], *around, s.get("groups", 1)]


def _linear(op: Op, shape: Shape) -> list[Any]:
    weight = op.settings["weight"]
    return [weight, op.settings.get("bias"), weight.shape[1], weight.shape[0]]


def _max_pool2d(op: Op, shape: Shape) -> list[Any]:
    s = op.settings
    kernel = _pair(s["kernel"])
    return [*shape, *op.shape[1:], *kernel, *_pair(s.get("stride") or kernel), *_pair(s.get("padding", 0))]


def _pad(op: Op, shape: Shape) -> list[Any]:
    left, _, top, _, front, _ = [*op.settings["sides"], 0, 0, 0, 0, 0, 0][:6]
    if op.settings.get("mode", "constant") != "constant":
        _refuse(f"pad with {op.settings['mode']}", "a constant")
    return [*_map(shape), *_map(op.shape), front, top, left, float(op.settings.get("value") or 0.0)]


def _affine(op: Op, shape: Shape) -> list[Any]:
    channels = op.settings["factor"].numel()
    return [op.settings["factor"], op.settings["shift"], channels, op.size // channels]


def _prelu(op: Op, shape: Shape) -> list[Any]:
    return [op.settings["weight"], op.settings["weight"].numel(), shape[0], op.size // shape[0]]


def _group_norm(op: Op, shape: Shape) -> list[Any]:
    s = op.settings
    return [s.get("weight"), s.get("bias"), shape[0], op.size // shape[0], s["groups"], float(s.get("eps", 1e-5))]


def _instance_norm(op: Op, shape: Shape) -> list[Any]:
    s = op.settings
    return [s.get("weight"), s.get("bias"), shape[0], op.size // shape[0], float(s.get("eps", 1e-5))]


def _layer_norm(op: Op, shape: Shape) -> list[Any]:
    s = op.settings
    if prod(s["normalised"]) != op.size:
        _refuse(f"layer_norm over {s['normalised']}", "all values")
    return [s.get("weight"), s.get("bias"), op.size, float(s.get("eps", 1e-5))]


# What follows input and output in the call of each C function: tensors, then numbers.
ARGUMENTS: dict[str, Callable[[Op, Shape], list[Any]]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "pad": _pad,
    "affine": _affine,
    "prelu": _prelu,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "map_mean": lambda op, shape: [shape[0], prod(shape) // shape[0]],
    "mul": lambda op, shape: [op.size, op.settings["by"]],
    "add": lambda op, shape: [op.size, op.settings["by"]],
    "leaky_relu": lambda op, shape: [op.size, float(op.settings.get("slope", 0.01))],
}


STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")
MAIN = """
#include <stdio.h>
#include "{header}"
int main(void) {{
  static float image[{pixels}], logits[{classes}];
  while (fread(image, sizeof(float), {pixels}, stdin) == {pixels}) {{
    {name}_logits(image, logits);
    fwrite(logits, sizeof(float), {classes}, stdout);
  }}
  return 0;
}}
"""


def run_c(path: Path, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1] by the header ``path``, whose functions begin with ``name``.

    Raises :class:`~paretune.errors.ExportError` if there is no C compiler, or if it does not take the header.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        message = "C compiler `gcc` is not on the PATH; expected it or `cc`, to check the header with; install gcc or leave out --c"
        raise ExportError(message)
    classes = int(re.findall(rf"#define {name.upper()}_CLASSES (\d+)", path.read_text())[0])
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "main.c", Path(folder) / "main"
        source.write_text(MAIN.format(header=path.resolve(), pixels=images[0].size, classes=classes, name=name))
        command = [compiler, *STRICT, str(source), "-o", str(program), "-lm"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            reason = next((line for line in made.stderr.splitlines() if "error:" in line), made.stderr.strip())
            message = f"C header `{path.name}` is refused by {compiler} ({reason}); please report the model's config"
            raise ExportError(message)
        done = subprocess.run(
            [program], input=np.ascontiguousarray(images).tobytes(), stdout=subprocess.PIPE, check=True
        )
    return np.frombuffer(done.stdout, dtype=np.float32).reshape(-1, classes)


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
