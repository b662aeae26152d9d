"""The files of a C program: a folder beside the model's ONNX file."""

from dataclasses import dataclass, replace
from pathlib import Path

from paretune.deploy.c_input import DEFAULT_INPUT, CInput, Numbers
from paretune.deploy.c_text import c_name


@dataclass(frozen=True)
class Taken:
    """What the network reads an image from: the numbers of ``c_input``, of which
    ``unit``, as C has it, stands for 1. Unless they are ready, a pixel has to be made
    of each.
    """

    c_input: CInput
    unit: str
    is_ready: bool


@dataclass(frozen=True)
class CFiles:
    """The ``folder`` of a program whose names all begin with ``name``.

    ``c_input`` is what it takes, whole numbers are what it gives if ``is_whole``, else
    floats.
    """

    folder: Path
    name: str
    c_input: CInput = DEFAULT_INPUT
    is_whole: bool = False

    @classmethod
    def beside(
        cls,
        model: Path,
        c_input: CInput = DEFAULT_INPUT,
        *,
        is_whole: bool = False,
    ) -> "CFiles":
        """Those of the ONNX file ``model``: of ``net.onnx`` the folder ``net_c``."""
        folder = model.with_name(f"{model.stem}_c")
        return cls(folder, c_name(model), c_input, is_whole)

    def move_to(self, folder: Path) -> "CFiles":
        """The same files in another folder."""
        return replace(self, folder=folder)

    @property
    def header(self) -> Path:
        """What a program includes."""
        return self.folder / f"{self.name}.h"

    @property
    def code(self) -> Path:
        """The functions and the constants."""
        return self.folder / f"{self.name}.c"

    @property
    def test(self) -> Path:
        """A program that checks the code by reference inputs."""
        return self.folder / f"{self.name}_test.c"

    @property
    def makefile(self) -> Path:
        """What compiles and runs the test."""
        return self.folder / "Makefile"

    def find_taken(self, *, has_views: bool) -> Taken:
        """What the network takes: the image, or, with several views, the copy of it,
        which is of pixels.
        """
        is_unit = self.c_input.numbers is Numbers.FLOATS
        unit = "1.0f" if is_unit else "255.0f"
        if not has_views:
            return Taken(self.c_input, unit, is_ready=False)
        copied = Numbers.PIXELS if self.is_whole else Numbers.FLOATS
        return Taken(CInput(numbers=copied), unit, is_ready=True)

    @property
    def logit(self) -> str:
        """The type of a logit in C."""
        return "int32_t" if self.is_whole else "float"

    @property
    def logit_dtype(self) -> str:
        """The type of a logit, as numpy calls it."""
        return "int32" if self.is_whole else "float32"
