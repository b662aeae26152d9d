"""The files of a C program, from templates: header, code, test and Makefile."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from numpy.typing import NDArray

from paretune.deploy.c_calls import write_number
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_input import Numbers
from paretune.deploy.c_text import CArray, in_comment, wrap_numbers
from paretune.deploy.model import Deployable, find_bound
from paretune.operations.types import ONE_EACH, RowsColumns

GUARD = "PARETUNE_GUARD"  # where a header's own stands, which is drawn from its text
NUMBER_BYTES = {"int8_t": 1, "float": 4, "int64_t": 8}


@dataclass(frozen=True)
class CNetwork:
    """The parts of the code that differ from network to network.

    ``calls`` compute the logits once the function ``intake``, called with
    ``intake_arguments`` for each row of a channel, has brought the image into the block
    of ``memory`` numbers; in them names of ``arrays`` begin with ``NAME_``. The logits
    lie there at ``result``; without it the last call stores them. ``pool`` are the rows
    and columns of the pixels that the image is pooled over first. The logits of a
    network in whole numbers are in steps of ``logit_scale``.
    """

    kernels: Sequence[str]
    arrays: Mapping[str, CArray]
    intake: str
    intake_arguments: str
    calls: Sequence[str]
    memory: int
    flash_bytes: int
    result: int | None = None
    pool: RowsColumns = ONE_EACH
    logit_scale: str = ""


@dataclass(frozen=True)
class Block:
    """The memory that a call works in: ``size`` numbers of the type ``ctype``."""

    ctype: str
    size: int
    n_bytes: int


def find_block(model: Deployable, files: CFiles, memory: int, classes: int) -> Block:
    """The block of a network whose values take ``memory`` numbers; several views take a
    sum for each class and a copy of the image, too.
    """
    number = "int8_t" if files.is_whole else "float"
    if not model.net.views:
        n_bytes = memory * NUMBER_BYTES[number]
        return Block(number, memory, n_bytes)
    total = "int64_t" if files.is_whole else "float"
    values = memory + prod(model.image_shape)
    n_bytes = classes * NUMBER_BYTES[total] + values * NUMBER_BYTES[number]
    return Block(total, -(-n_bytes // NUMBER_BYTES[total]), n_bytes)


def write_program(
    network: CNetwork, model: Deployable, files: CFiles, about: str, classes: int
) -> None:
    """Write header, code and Makefile of a ``network`` into their folder, ``about`` as
    the comment at their top; the code averages as many views as ``model``.

    What only the code calls begins with ``name_op_``, so that no other model's name
    begins so. The header's guard is drawn from all of the text: two models never have
    the same one.
    """
    views = model.net.views
    values = {
        **vars(network),
        **_describe_files(model, files, network.memory, classes),
        "calls": [call.replace("NAME_", f"{files.name}_") for call in network.calls],
        "about": [in_comment(line) for line in about.splitlines()],
        "guard": GUARD,
        "reach": views.reach if views else None,
        "views": len(views.corners) if views else 1,
        "has_rows": network.pool != ONE_EACH and not views,
        "taken": files.find_taken(has_views=bool(views)).c_input,
        "copy_size": prod(model.image_shape),
    }
    code = _render("model.c", values)
    header = _render("model.h", values)
    digest = hashlib.sha256((header + code).encode()).hexdigest()[:16].upper()
    files.code.write_text(code, encoding="utf-8")
    files.header.write_text(
        header.replace(GUARD, f"PARETUNE_{digest}_H"), encoding="utf-8"
    )
    files.makefile.write_text(_render("Makefile", values), encoding="utf-8")


def write_test(
    model: Deployable,
    files: CFiles,
    memory: int,
    inputs: NDArray[np.generic],
    outputs: NDArray[np.generic],
) -> None:
    """Write the program that checks the code by ``inputs`` ``(N, numbers)`` and their
    ``outputs`` ``(N, classes)``; its values take ``memory`` numbers.
    """
    values = {
        **_describe_files(model, files, memory, outputs.shape[1]),
        "inputs": list(map(_write_numbers, inputs)),
        "outputs": list(map(_write_numbers, outputs)),
        "bound": write_number(find_bound(outputs.astype(np.float32))),
    }
    files.test.write_text(_render("model_test.c", values), encoding="utf-8")


def _describe_files(
    model: Deployable, files: CFiles, memory: int, classes: int
) -> dict[str, Any]:
    """What header, code and test say alike."""
    block = find_block(model, files, memory, classes)
    is_unit = files.c_input.numbers is Numbers.FLOATS and not files.is_whole
    return {
        "name": files.name,
        "prefix": files.name.upper(),
        "internal": f"{files.name}_op_",
        "classes": classes,
        "layout": model.layout(classes, files.c_input),
        "whole": files.is_whole,
        "is_unit": is_unit,
        "logit": files.logit,
        "number": "int8_t" if files.is_whole else "float",
        "block": block.ctype,
        "block_size": block.size,
        "memory_bytes": block.n_bytes,
    }


def _write_numbers(row: NDArray[np.generic]) -> str:
    return wrap_numbers(map(write_number, row.tolist()))


def _render(template: str, values: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("paretune.deploy"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text: str = environment.get_template(template).render(values)
    return text
