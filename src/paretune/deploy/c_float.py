"""A program in C99: the weights, and a forward pass that needs nothing but the C library's
``expf`` and ``sqrtf``.

For microcontrollers: no allocation, no file, one block of memory, weights in constant
storage.
"""

import torch

from paretune.atomic import all_or_nothing
from paretune.deploy.c_calls import Calls
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_images import encode, see
from paretune.deploy.c_kernels import choose_kernels
from paretune.deploy.c_program import run_c, run_test
from paretune.deploy.c_template import CNetwork, write_program, write_test
from paretune.deploy.model import Deployable, check_same_outputs
from paretune.deploy.refusals import naming_layer
from paretune.memory import plan_memory
from paretune.operations import find_graph_buffers

REFERENCES = 10  # inputs of the program's own test


def write_c(model: Deployable, files: CFiles, about: str) -> float:
    """Write the program, compile it, compare it with torch on the samples; returns the
    largest difference of a logit.

    ``about`` is the comment at its top. Raises :class:`~paretune.errors.ExportError`,
    and leaves no file, if the outputs differ, if an operation cannot be written in C,
    if images have no such form, or if there is no compiler to check it with.
    """
    c_input = files.c_input
    c_input.require_shape(model.image_shape, is_signal=model.values is not None)
    images = model.samples.numpy()
    inputs = encode(images, c_input)
    expected = model.logits_of(torch.from_numpy(see(images, c_input)))
    network = _write_network(model, files)
    with all_or_nothing(files.folder) as folder:
        staged = files.move_to(folder)
        write_program(network, model, staged, about, expected.shape[1])
        outputs = run_c(staged, inputs)
        difference = check_same_outputs("the C program", outputs, expected)
        references = slice(REFERENCES)
        write_test(
            model, staged, network.memory, inputs[references], expected[references]
        )
        run_test(staged)
    return difference


def _write_network(model: Deployable, files: CFiles) -> CNetwork:
    graph = model.find_graph()
    memory = plan_memory(find_graph_buffers(graph, with_image=False))
    calls = Calls(graph, memory)
    intake, intake_arguments = calls.write_intake()
    lines = []
    for node in graph.nodes[1:]:
        with naming_layer(model, node.layer):
            lines.extend(calls.write(node))
    taken = files.find_taken(has_views=bool(model.net.views))
    n_weights = sum(tensor.numel() for tensor in calls.weights.values())
    return CNetwork(
        kernels=choose_kernels(calls.used, taken),
        arrays=calls.describe_weights(),
        intake=intake,
        intake_arguments=intake_arguments,
        calls=lines,
        memory=memory.size,
        flash_bytes=4 * n_weights,
        result=memory.offsets[graph.nodes[-1].output],
        pool=graph.pool_window,
    )
