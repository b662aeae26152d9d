"""Running a plan: forward and backward pass of a network in one mode."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from paretune.batch_last.builder import Plan
from paretune.batch_last.library import Batch, Gradients, Library
from paretune.batch_last.operations import Kind, encode
from paretune.batch_last.values import LANES

SEEDS = 2**31


class Program:
    """A plan, and the memory that it works in."""

    def __init__(self, plan: Plan, library: Library) -> None:
        self.plan = plan
        self.library = library
        self.passes = 0

        # Made anew for a larger batch
        self._arena = torch.zeros(0)
        self._table = encode(plan.operations)
        is_dropout = self._table["kind"] == Kind.DROPOUT
        self._dropouts = np.flatnonzero(is_dropout)

        # The table holds addresses of tensors, which may move from pass to pass.
        self._addresses: list[int] = []
        self._tensors: list[tuple[int, str, Tensor]] = []
        for row, operation in enumerate(plan.operations):
            for name, tensor in operation.tensors.present():
                self._tensors.append((row, name, tensor))

    @property
    def parameters(self) -> list[Tensor]:
        """The trained parameters."""
        return self.plan.parameters.tensors

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of images ``(B, C, H, W)``; the arena keeps what the
        backward pass needs.
        """
        images = images.contiguous()
        count = len(images)
        self.passes += 1
        self._note_addresses()
        self._make_room(count)
        self._draw_seeds()
        for counter in self.plan.counters:
            counter.add_(1)

        end = self.plan.logits
        logits = torch.empty(count, end.maps)
        batch = self._describe_batch(count)
        self.library.forward(batch, images, logits, end.at)
        return logits

    def backward(self, logits_gradient: Tensor) -> list[Tensor]:
        """The gradient of each parameter, from that of the logits of the last forward
        pass.
        """
        logits_gradient = logits_gradient.contiguous()
        images = len(logits_gradient)
        blocks = _count_blocks(images)
        plan = self.plan
        of_blocks = torch.empty(blocks, plan.parameters.count)
        scratch = torch.empty(blocks, plan.scratch_floats)
        gradients = Gradients(
            of_blocks=of_blocks.data_ptr(),
            parameters=plan.parameters.count,
            scratch=scratch.data_ptr(),
            scratch_floats=plan.scratch_floats,
        )

        batch = self._describe_batch(images)
        self.library.backward(
            batch, logits_gradient, plan.logits.gradient_at, gradients
        )
        return plan.parameters.cut(of_blocks[0])  # the sum of them all

    def _describe_batch(self, images: int) -> Batch:
        return Batch(
            ops=self._table.ctypes.data,
            op_count=len(self._table),
            arena=self._arena.data_ptr(),
            block_floats=self.plan.block_floats,
            images=images,
            classes=self.plan.logits.maps,
            threads=torch.get_num_threads(),
        )

    def _note_addresses(self) -> None:
        """Write where the tensors are now."""
        addresses = [tensor.data_ptr() for _, _, tensor in self._tensors]
        if addresses == self._addresses:
            return

        self._addresses = addresses

        for row, name, tensor in self._tensors:
            column = self._table[name]
            column[row] = tensor.data_ptr()

    def _make_room(self, images: int) -> None:
        blocks = _count_blocks(images)
        floats = blocks * self.plan.block_floats

        if self._arena.numel() < floats:
            self._arena = torch.zeros(floats)

    def _draw_seeds(self) -> None:
        seeds = self._table["seed"]
        for row in self._dropouts:
            drawn = torch.randint(SEEDS, ())
            seeds[row] = int(drawn)


def differentiate(program: Program, images: Tensor) -> Tensor:
    """Logits ``(B, classes)`` by a forward pass that torch can differentiate.

    The backward pass raises ``RuntimeError`` if there was another forward pass since
    then.
    """
    logits: Tensor = _Pass.apply(images, program, *program.parameters)  # type: ignore[no-untyped-call]
    return logits


class _Pass(torch.autograd.Function):
    """A forward pass of a program, to torch one function of the images and all
    parameters.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, program: Program, *parameters: Tensor
    ) -> Tensor:
        logits = program.forward(images)
        ctx.program = program
        ctx.number = program.passes
        return logits

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        program: Program = ctx.program
        if ctx.number != program.passes:
            raise RuntimeError(
                "another forward pass has overwritten what this backward pass needs"
            )

        return None, None, *program.backward(grad)


def _count_blocks(images: int) -> int:
    return -(-images // LANES)
