"""A C99 header in whole numbers: int8 weights and activations, int32 sums, no floating
point and no library.

For microcontrollers without a floating-point unit. It is written from the quantised
ONNX file, so that both do the same.
"""

from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paretune.deploy.c_int8_calls import (
    WRITTEN,
    require_written,
    write_calls,
    write_image,
    write_rows,
)
from paretune.deploy.c_int8_program import Int8Program
from paretune.deploy.c_kernels import choose_int8_kernels
from paretune.deploy.c_program import run_program
from paretune.deploy.c_template import render_header
from paretune.deploy.c_text import c_name
from paretune.deploy.int8_network import Int8Node, Quantised
from paretune.deploy.model import Deployable
from paretune.deploy.refusals import INT8_C, naming_layer, refuse
from paretune.memory import MemoryPlan, plan_memory
from paretune.operations.types import ONE_EACH, Conv, Linear, MeanOfMaps

GIVE_SUMS = (Conv, Linear, MeanOfMaps)  # operations that can give the logits
MAIN_INT8 = """
#include <stdio.h>
#include "model.h"
int main(void) {{
  static uint8_t pixels[{pixels}];
  static int32_t logits[{classes}];
  while (fread(pixels, 1, {pixels}, stdin) == {pixels}) {{
    {name}_logits(pixels, logits);
    fwrite(logits, sizeof(int32_t), {classes}, stdout);
  }}
  return 0;
}}
"""


class Int8Sizes(NamedTuple):
    """Bytes that a header in whole numbers takes: of RAM, and of constants."""

    ram_bytes: int
    flash_bytes: int


def write_c_int8(
    network: Quantised, model: Deployable, path: Path, about: str
) -> Int8Sizes:
    """Write the header of a quantised network whose images are scaled as ``model``
    does; returns its sizes.

    ``network`` are the operations on one view; the code averages as many views as
    ``model``. ``about`` is the comment at its top. Raises
    :class:`~paretune.errors.ExportError` for an operation that is not written in whole
    numbers.
    """
    for node in network.nodes:
        with naming_layer(model, node.layer):
            require_written(node)
    last = network.nodes[-1]
    with naming_layer(model, last.layer):
        _require_logits(last, network)
    plan = _plan_memory(network)
    program = Int8Program(network, plan)
    is_pooled = network.pool_window != ONE_EACH
    rows = write_rows(program, model.net) if is_pooled else ""
    lines = _write_lines(program, model)
    name = c_name(path)
    text = render_header(
        "model_int8.h",
        model,
        about,
        name=name,
        classes=last.size,
        kernels=choose_int8_kernels(program.used),
        arrays=program.constants.describe(),
        rows=rows,
        pool=network.pool_window,
        calls=[line.replace("NAME_", f"{name}_") for line in lines],
        memory=plan.size,
        flash_bytes=program.constants.flash_bytes,
        logit_scale=f"{program.logit_scale:.6g}",
    )
    path.write_text(text, encoding="utf-8")
    moved_image = prod(model.image_shape) if model.net.views else 0
    return Int8Sizes(plan.size + moved_image, program.constants.flash_bytes)


def _require_logits(last: Int8Node, network: Quantised) -> None:
    """Raise :class:`~paretune.errors.ExportError` unless the ``last`` operation gives
    sums, with nothing behind it.
    """
    name = WRITTEN[type(last.operation)]
    remedy = "end with a convolution, a dense layer or the mean of maps"
    if not isinstance(last.operation, GIVE_SUMS):
        refuse(f"logits of `{name}` cannot be written in C", remedy, INT8_C)
    is_alone = last.output not in network.steps and last.joined.slope is None
    if not is_alone:
        problem = f"what follows the last `{name}` cannot be written in C"
        refuse(problem, remedy, INT8_C)


def _plan_memory(network: Quantised) -> MemoryPlan:
    """The places of all values but the logits: the caller has a place for them."""
    logits = network.nodes[-1].output
    buffers = [
        buffer for buffer in network.find_buffers() if logits not in buffer.values
    ]
    return plan_memory(buffers)


def _write_lines(program: Int8Program, model: Deployable) -> list[str]:
    lines = []
    if program.network.pool_window == ONE_EACH:
        lines.append(write_image(program, model.net))
    for node in program.network.nodes:
        with naming_layer(model, node.layer):
            lines.extend(write_calls(program, node))
    return lines


def run_c_int8(
    path: Path, pixels: NDArray[np.uint8], classes: int
) -> NDArray[np.int32]:
    """Whole-number logits ``(N, classes)`` of images ``(N, C, H, W)`` by the header
    ``path``.
    """
    name = c_name(path)
    main = MAIN_INT8.format(pixels=pixels[0].size, classes=classes, name=name)
    images = np.ascontiguousarray(pixels)
    output = run_program(main, path, images.tobytes())
    logits = np.frombuffer(output, np.int32)
    return logits.reshape(-1, classes)
