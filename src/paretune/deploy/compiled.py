"""A C header, compiled and run on this machine."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretune.errors import ExportError

__all__ = ["run_c"]

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
