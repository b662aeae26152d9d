"""A C99 program in whole numbers: int8 weights and activations, int32 sums, no floating
point and no library.

For microcontrollers without a floating-point unit. It is written from the quantised
ONNX file, so that both do the same.
"""

from math import prod
from typing import NamedTuple

from paretune.atomic import all_or_nothing
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import REFERENCES
from paretune.deploy.c_images import encode
from paretune.deploy.c_int8_calls import (
    WRITTEN,
    require_written,
    write_calls,
    write_intake,
)
from paretune.deploy.c_int8_program import Int8Program
from paretune.deploy.c_kernels import choose_int8_kernels
from paretune.deploy.c_program import run_c, run_test
from paretune.deploy.c_template import CNetwork, write_program, write_test
from paretune.deploy.int8_network import Int8Node, Quantised
from paretune.deploy.model import Deployable
from paretune.deploy.refusals import INT8_C, naming_layer, refuse
from paretune.memory import MemoryPlan, plan_memory
from paretune.operations.types import Conv, Linear, MeanOfMaps

GIVE_SUMS = (Conv, Linear, MeanOfMaps)  # operations that can give the logits


class Int8Sizes(NamedTuple):
    """Bytes that a program in whole numbers takes, of RAM and of constants, and what
    a logit is multiplied by.
    """

    ram_bytes: int
    flash_bytes: int
    logit_scale: float


def write_c_int8(
    network: Quantised, model: Deployable, files: CFiles, about: str
) -> Int8Sizes:
    """Write the program of a quantised network whose images are scaled as ``model``
    does; returns its sizes.

    ``network`` are the operations on one view; the code averages as many views as
    ``model``. ``about`` is the comment at its top. The outputs of its test are what it
    gives on this machine. Raises :class:`~paretune.errors.ExportError` for an operation
    that is not written in whole numbers, for images that have no such form, or if
    there is no compiler to check it with.
    """
    files.c_input.require_shape(model.image_shape, is_signal=model.values is not None)
    _require_written(network, model)
    plan = _plan_memory(network)
    program = Int8Program(network, plan)
    written = _write_network(program, model, files)
    inputs = encode(model.samples[:REFERENCES].numpy(), files.c_input)
    with all_or_nothing(files.folder) as folder:
        staged = files.move_to(folder)
        write_program(written, model, staged, about, network.nodes[-1].size)
        write_test(model, staged, plan.size, inputs, run_c(staged, inputs))
        run_test(staged)
    moved_image = prod(model.image_shape) if model.net.views else 0
    flash_bytes = program.constants.flash_bytes
    return Int8Sizes(plan.size + moved_image, flash_bytes, program.logit_scale)


def _write_network(program: Int8Program, model: Deployable, files: CFiles) -> CNetwork:
    intake, intake_arguments = write_intake(program, model.net)
    lines = []
    for node in program.network.nodes:
        with naming_layer(model, node.layer):
            lines.extend(write_calls(program, node))
    taken = files.find_taken(has_views=bool(model.net.views))
    return CNetwork(
        kernels=choose_int8_kernels(program.used, taken),
        arrays=program.constants.describe(),
        intake=intake,
        intake_arguments=intake_arguments,
        calls=lines,
        memory=program.plan.size,
        flash_bytes=program.constants.flash_bytes,
        pool=program.network.pool_window,
        logit_scale=f"{program.logit_scale:.6g}",
    )


def _require_written(network: Quantised, model: Deployable) -> None:
    """Raise :class:`~paretune.errors.ExportError` for an operation that has no
    function, and unless the last one gives the logits.
    """
    for node in network.nodes:
        with naming_layer(model, node.layer):
            require_written(node)
    last = network.nodes[-1]
    with naming_layer(model, last.layer):
        _require_logits(last, network)


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
