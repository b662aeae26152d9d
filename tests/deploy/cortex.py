"""A program on a Cortex-M3 without floating point, emulated by QEMU: it runs its own test,
which prints and returns by semihosting.
"""

import shutil
import subprocess
from pathlib import Path

from paretune.deploy.c_files import CFiles

TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
CHIP = ("-mcpu=cortex-m3", "-mthumb", "-Os")
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
LINKER = """
MEMORY { FLASH (rx): ORIGIN = 0, LENGTH = 4M  RAM (rwx): ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.init) *(.fini) } > FLASH
  .ARM.exidx : { *(.ARM.exidx*) } > FLASH
  .data : { *(.data*) } > RAM
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; end = .; __end__ = .; } > RAM
}
"""
BOARD = """
void _start(void);
__attribute__((section(".vectors"), used)) static void *const vectors[] = { (void *)0x20400000, (void *)_start };
"""
QEMU = ("qemu-system-arm", "-M", "mps2-an385", "-nographic", "-semihosting")


def missing() -> str:
    """What is not installed of the tools that this needs."""
    return ", ".join(tool for tool in TOOLS if not shutil.which(tool))


def run(files: CFiles, folder: Path) -> tuple[int, str]:
    """What the program's test returns, and what it says."""
    build(files.code, folder / "model.o")
    build(files.test, folder / "test.o")
    (folder / "board.c").write_text(BOARD)
    (folder / "link.ld").write_text(LINKER)
    link = ["arm-none-eabi-gcc", *CHIP, "--specs=rdimon.specs", "-T", "link.ld"]
    link += ["board.c", "model.o", "test.o", "-lm", "-o", "program.elf"]
    subprocess.run(link, cwd=folder, check=True)
    done = subprocess.run(
        [*QEMU, "-kernel", "program.elf"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def build(source: Path, target: Path, *options: str, language: str = "c") -> None:
    """Compile a file of a program, all warnings errors."""
    standard = "c99" if language == "c" else "c++11"
    gcc = ["arm-none-eabi-gcc", "-x", language, f"-std={standard}", *CHIP, *STRICT]
    subprocess.run([*gcc, *options, "-c", source, "-o", target], check=True)


def sizes(files: CFiles, folder: Path) -> tuple[int, int, int]:
    """Bytes of text, data and bss of the program's object file."""
    build(files.code, folder / "model.o")
    size = ["arm-none-eabi-size", folder / "model.o"]
    said = subprocess.run(size, capture_output=True, text=True, check=True).stdout
    text, data, bss = map(int, said.splitlines()[1].split()[:3])
    return text, data, bss
