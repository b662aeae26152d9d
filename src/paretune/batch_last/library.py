"""The compiled kernels, as Python calls them: the two functions of
``kernels/program.cpp``.
"""

from ctypes import CDLL, POINTER, Structure, byref, c_int64, c_void_p
from pathlib import Path

from torch import Tensor


class Batch(Structure):
    """The struct ``Batch`` of ``kernels/op.h``."""

    _fields_ = (
        ("ops", c_void_p),
        ("op_count", c_int64),
        ("arena", c_void_p),
        ("block_floats", c_int64),
        ("images", c_int64),
        ("classes", c_int64),
        ("threads", c_int64),
    )


class Gradients(Structure):
    """The struct ``Gradients`` of ``kernels/program.cpp``."""

    _fields_ = (
        ("of_blocks", c_void_p),
        ("parameters", c_int64),
        ("scratch", c_void_p),
        ("scratch_floats", c_int64),
    )


FORWARD = (POINTER(Batch), c_void_p, c_int64, c_void_p, c_int64)
BACKWARD = (POINTER(Batch), c_void_p, c_int64, POINTER(Gradients))


class Library:
    """The kernels of a shared library. Raises ``OSError`` if it cannot be loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        library = CDLL(str(path))

        self._forward = library.batch_last_forward
        self._forward.restype = None
        self._forward.argtypes = FORWARD

        self._backward = library.batch_last_backward
        self._backward.restype = None
        self._backward.argtypes = BACKWARD

        self.op_bytes = _read_number(library, "batch_last_op_bytes")
        self.lanes = _read_number(library, "batch_last_lanes")

    def forward(
        self, batch: Batch, images: Tensor, logits: Tensor, logits_at: int
    ) -> None:
        """Write the logits of the images; the batch's arena keeps what the backward
        pass needs.
        """
        self._forward(
            byref(batch),
            images.data_ptr(),
            images[0].numel(),  # pixels of one, of all channels
            logits.data_ptr(),
            logits_at,
        )

    def backward(
        self, batch: Batch, logits_gradient: Tensor, at: int, gradients: Gradients
    ) -> None:
        """Write the gradients of the parameters, from that of the logits of the last
        forward pass.
        """
        from_logits = logits_gradient.data_ptr()
        self._backward(byref(batch), from_logits, at, byref(gradients))


def _read_number(library: CDLL, name: str) -> int:
    function = library[name]
    function.restype = c_int64
    return int(function())
