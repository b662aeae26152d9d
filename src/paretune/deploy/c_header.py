"""A C99 header: the weights, and a forward pass that needs nothing but the C library's ``expf`` and ``sqrtf``.

For microcontrollers: no allocation, no file, one static block of memory, weights in constant storage.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray
from torch import Tensor

from paretune.atomic import atomically
from paretune.deploy.c_text import c_name, in_comment
from paretune.deploy.model import Deployable, check_same_outputs
from paretune.errors import ExportError
from paretune.graph import IMAGE, Graph, Op, Value, buffers_of, graph_of
from paretune.memory import MemoryPlan, plan_memory
from paretune.paths import NO_ROOM, temporary_folder

Shape = Sequence[int]
LINE = 110
FUNCTIONS = {"slice": "pad"}  # of operations that another one's function does
PADS = ("constant", "replicate")
STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
GUARD = "PARETUNE_GUARD"  # where a header's own stands, which is drawn from its text
MAIN = """
#include <stdio.h>
#include "model.h"
int main(void) {{
  static float image[{pixels}], logits[{classes}];
  while (fread(image, sizeof(float), {pixels}, stdin) == {pixels}) {{
    {name}_logits(image, logits);
    fwrite(logits, sizeof(float), {classes}, stdout);
  }}
  return 0;
}}
"""


def write_c(model: Deployable, path: Path, about: str) -> float:
    """Write the header, compile it, compare it with torch on the samples; returns the largest difference of a logit.

    ``about`` is the comment at its top. Raises :class:`~paretune.errors.ExportError`, and leaves no file, if the outputs
    differ, if an operation cannot be written in C, or if there is no compiler to check it with.
    """
    name = c_name(path)
    with atomically(path) as partial:
        partial.write_text(_header(model, name, about), encoding="utf-8")
        return check_same_outputs("the C header", run_c(partial, name, model.samples.numpy()), model.logits())


def _header(model: Deployable, name: str, about: str) -> str:
    graph = graph_of(model.once.net, model.image_shape)
    memory = plan_memory(buffers_of(graph, with_image=False))
    calls = Calls(graph, memory)
    kernels = kernels_in("kernels.c")
    for op in graph.ops:
        with naming_layer(model, op.layer):
            require_known(FUNCTIONS.get(op.kind, op.kind) in kernels, op.kind, f"one of {', '.join(kernels)}")
            dynamic = [name for name, setting in op.settings.items() if isinstance(setting, Value)]
            require_known(not dynamic, f"{op.kind} with a {dynamic} that depends on the image", "fixed numbers")
    lines: list[str] = []
    for op in graph.ops:
        with naming_layer(model, op.layer):
            lines += calls.of(op)
    numbers = {label: ", ".join(map(_number, w.reshape(-1).tolist())) for label, w in calls.weights.items()}
    return filled(
        "model.h", model, about, name=name, kernels=_sources({line.partition("(")[0] for line in lines}), calls=lines,
        weights={label: "\n  ".join(wrap(text, LINE, break_on_hyphens=False)) for label, text in numbers.items()},
        sizes={label: tensor.numel() for label, tensor in calls.weights.items()},
        memory=memory.size, classes=graph.ops[-1].size, result=memory.offsets[graph.ops[-1].output],
    )  # fmt: skip


def filled(template: str, model: Deployable, about: str, *, name: str, classes: int, **values: Any) -> str:
    """A header: the ``template`` with ``values``, ``about`` at its top, whose code looks at an image as often as ``model``.

    Everything in it begins with ``name``; what only the header calls with ``name_op_``, so that no other model's name begins so.
    Its guard is drawn from all of its text: two models never have the same one.
    """
    environment = Environment(
        loader=PackageLoader("paretune.deploy"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    views = model.net.views
    values |= {"reach": views.reach, "views": len(views.corners)} if views else {"reach": 0, "views": 1}
    values |= {"name": name, "internal": f"{name}_op_", "classes": classes, "layout": model.layout(classes)}
    values |= {"about": [in_comment(line) for line in about.splitlines()], "guard": GUARD}
    text = environment.get_template(template).render(values)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return text.replace(GUARD, f"PARETUNE_{digest.upper()}_H")


def kernels_in(template: str) -> dict[str, str]:
    """The C functions of a file of templates by the kinds of the operations that they do."""
    text = (Path(__file__).parent / "templates" / template).read_text()
    functions = re.findall(r"/\* kernel (\w+) \*/\n(.*?)\n(?=/\* kernel |\Z)", text, re.DOTALL)
    return {kind: function.strip() for kind, function in functions}


def _sources(kinds: set[str]) -> list[str]:
    """The C functions of these kinds of operations, and the one that all norms call."""
    kinds = kinds | ({"normalise"} if any(kind.endswith("_norm") for kind in kinds) else set())
    return [function for kind, function in kernels_in("kernels.c").items() if kind in kinds]


@contextmanager
def naming_layer(model: Deployable, layer: str) -> Iterator[None]:
    """Have an :class:`~paretune.errors.ExportError` name the ``layer`` of ``model`` that cannot be written, if it is known."""
    try:
        yield
    except ExportError as error:
        modules = dict(model.once.net.net.named_modules())
        name = layer.removeprefix("net.")
        if name not in modules:
            raise
        raise ExportError(f"layer `{name}` ({type(modules[name]).__name__}) cannot be exported: {error}") from error


def require_known(is_known: bool, what: str, expected: str, option: str = "--c") -> None:
    """Raise :class:`~paretune.errors.ExportError` about the operation ``what`` unless it is known; ``option`` asked for it."""
    if not is_known:
        raise ExportError(f"operation `{what}` cannot be written in C; expected {expected}; export without {option}")


@dataclass
class Calls:
    """Writes calls of the C functions; the tensors that they need gather in ``weights`` by their names in C, each once."""

    graph: Graph
    memory: MemoryPlan
    weights: dict[str, Tensor] = field(default_factory=dict)

    def of(self, op: Op) -> list[str]:
        """The calls of one operation.

        Raises :class:`~paretune.errors.ExportError` for settings that the functions do not know.
        """
        shapes = [self.graph.shapes[value] for value in op.inputs]
        require_known(not op.kind.endswith("_values") or len({*shapes}) == 1, f"{op.kind} of {shapes}", "equal shapes")
        require_known(op.settings.get("step", 1) == 1, "slice with a step", "every value")
        if op.kind == "cat":
            sizes = [prod(shape) for shape in shapes]
            starts = [sum(sizes[:position]) for position in range(len(sizes))]
            parts = zip(op.inputs, starts, sizes, strict=True)
            return [f"cat({self._place(v)}, {self._place(op.output)} + {start}, {size});" for v, start, size in parts]
        if op.kind == "slice" and op.settings["dimension"] == 1:
            start = op.settings.get("first", 0) * prod(shapes[0][1:])
            return [f"cat({self._place(op.inputs[0])} + {start}, {self._place(op.output)}, {op.size});"]
        words = [*map(self._place, op.inputs), self._place(op.output), *map(self._argument, _arguments(op, shapes[0]))]
        return [f"{FUNCTIONS.get(op.kind, op.kind)}({', '.join(words)});"]

    def _place(self, value: str) -> str:
        return "image" if value == IMAGE else f"memory + {self.memory.offsets[value]}"

    def _argument(self, argument: Any) -> str:
        if not isinstance(argument, Tensor):
            return "0" if argument is None else _number(argument)
        names = (name for name, tensor in self.weights.items() if tensor is argument)
        label = next(names, f"w{len(self.weights)}")
        self.weights[label] = argument
        return label


def _number(value: float) -> str:
    """A number as a C constant, exact to the last bit of a float."""
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits = f"{value:.9g}"
    return f"{digits}f" if re.search(r"[.e]", digits) else f"{digits}.0f"


def _arguments(op: Op, shape: Shape) -> list[Any]:
    """What follows input and output in the call of the C function: tensors, then numbers. ``shape`` is the input's."""
    s, each_map = op.settings, [shape[0], op.size // shape[0]]
    affine, eps = [s.get("weight"), s.get("bias")], float(s.get("eps", 1e-5))
    match op.kind:
        case "conv2d":
            require_known(_pair(s.get("dilation", 1)) == [1, 1], "conv2d with dilation", "none")
            around = [*_pair(s.get("stride", 1)), *_pair(s.get("padding", 0))]
            return [*affine, *shape, *op.shape, *s["weight"].shape[2:], *around, s.get("groups", 1)]
        case "linear":
            return [*affine, *reversed(s["weight"].shape)]
        case "max_pool2d":
            kernel = _pair(s["kernel"])
            require_known(_pair(s.get("dilation", 1)) == [1, 1], "max_pool2d with dilation", "none")
            return [*shape, *op.shape[1:], *kernel, *_pair(s.get("stride") or kernel), *_pair(s.get("padding", 0))]
        case "pad" | "slice":
            return _padded(op, shape)
        case "affine":
            channels = s["factor"].numel()
            return [s["factor"], s["shift"], channels, op.size // channels]
        case "prelu":
            return [s["weight"], s["weight"].numel(), *each_map]
        case "group_norm":
            return [*affine, *each_map, s["groups"], eps]
        case "instance_norm":
            require_known(s.get("by_image", True), "instance_norm by running statistics", "by the image's own")
            return [*affine, *each_map, eps]
        case "layer_norm":
            require_known(prod(s["normalised"]) == op.size, f"layer_norm over {s['normalised']}", "all values")
            return [*affine, op.size, eps]
        case "map_mean":
            return [shape[0], prod(shape) // shape[0]]
        case "mul" | "add":
            by = s["by"] if isinstance(s["by"], Tensor) else torch.tensor(float(s["by"]))
            require_known(by.numel() == 1, f"{op.kind} by {by.numel()} values", "one value")
            return [op.size, float(by.item())]
        case "leaky_relu":
            return [op.size, float(s.get("slope", 0.01))]
    return [op.size]


def _padded(op: Op, shape: Shape) -> list[Any]:
    """The numbers that the function takes which pads; a slice of rows or columns is padded by less than nothing."""
    s, mode = op.settings, op.settings.get("mode", "constant")
    require_known(mode in PADS, f"pad with {mode}", f"one of {', '.join(PADS)}")
    left, _, top, _, front, _ = [*s.get("sides", ()), 0, 0, 0, 0, 0, 0][:6]
    if op.kind == "slice":
        front, top, left = (-s["first"] if s["dimension"] == dimension else 0 for dimension in (1, 2, 3))
    maps = [*shape, 1, 1][:3], [*op.shape, 1, 1][:3]
    return [*maps[0], *maps[1], front, top, left, PADS.index(mode), float(s.get("value") or 0.0)]


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [*value, *value][:2]


def run_c(path: Path, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1] by the header ``path``, whose functions begin with ``name``.

    Raises :class:`~paretune.errors.ExportError` if there is no C compiler, or if it does not take the header.
    """
    classes = int(re.findall(rf"#define {name.upper()}_CLASSES (\d+)", path.read_text(encoding="utf-8"))[0])
    main = MAIN.format(pixels=images[0].size, classes=classes, name=name)
    return np.frombuffer(run_program(main, path, np.ascontiguousarray(images).tobytes()), np.float32).reshape(
        -1, classes
    )


def run_program(main: str, header: Path, data: bytes) -> bytes:
    """What the C program ``main``, which includes the ``header`` as ``model.h``, makes of ``data`` on its standard input.

    Raises :class:`~paretune.errors.ExportError` if there is no C compiler, or if it does not take the header.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise ExportError(
            "C compiler `gcc` is not on the PATH; expected it or `cc`, to check the header; install gcc or leave out --c"
        )
    with temporary_folder() as folder:
        source, program = folder / "main.c", folder / "main"
        shutil.copyfile(header, folder / "model.h")  # its own path may hold anything
        source.write_text(main)
        command = [compiler, *STRICT, str(source), "-o", str(program), "-lm"]
        english = {**os.environ, "LC_ALL": "C"}
        made = subprocess.run(command, capture_output=True, text=True, check=False, env=english)
        if made.returncode:
            raise _compiler_error(compiler, header, made.stderr)
        return subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True).stdout


def _compiler_error(compiler: str, header: Path, said: str) -> Exception:
    """Why the compiler did not take the header: a full disk is no fault of it."""
    for number, words in NO_ROOM.items():
        if words in said:
            return OSError(number, words)
    reason = next((line for line in said.splitlines() if "error:" in line), said.strip())
    return ExportError(
        f"C header `{header.name}` is refused by {compiler} ({reason}); expected valid C99; please report the model's config"
    )


def program_sizes(header: Path) -> str:
    """Bytes of code and constants, of data, and of the deepest call's stack, of an object file that has the function of the class.

    Compiled by gcc for size, for this machine; nothing is linked.
    """
    compiler, sizer = shutil.which("gcc"), shutil.which("size")
    if not compiler or not sizer:
        return "not measured, gcc and size are missing"
    name = c_name(header)
    with temporary_folder() as folder:
        source = folder / "main.c"
        shutil.copyfile(header, folder / "model.h")
        source.write_text(f'#include "model.h"\nint classify(const uint8_t *p) {{ return {name}_class(p); }}\n')
        subprocess.run([compiler, "-Os", "-std=c99", "-c", "-fstack-usage", source.name], cwd=folder, check=True)
        numbers = subprocess.run([sizer, "main.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
        frames = [int(line.split("\t")[1]) for line in (folder / "main.su").read_text().splitlines()]
    text, data, bss = map(int, numbers.splitlines()[1].split()[:3])
    stack = sum(sorted(frames)[-3:])  # class, logits, and the function of an operation
    machine = platform.machine()
    return (
        f"{text:,} bytes of code and constants, {data + bss:,} of data, at most {stack:,} of stack (gcc -Os, {machine})"
    )
