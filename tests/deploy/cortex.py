"""A header in whole numbers on a Cortex-M3 without floating point, emulated by QEMU:
classes, instructions, sizes.
"""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from paretune.deploy.c_text import c_name

TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
# Of the board's 25 MHz timer; with -icount shift=0 an instruction takes a nanosecond.
NS_A_TICK = 40
LINKER = """
MEMORY { FLASH (rx): ORIGIN = 0, LENGTH = 4M  RAM (rwx): ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .data : { *(.data*) } > RAM
  .bss (NOLOAD) : { *(.bss*) } > RAM
}
"""
MAIN = """
#include "{header}"
static const uint8_t images[][{pixels}] = {{ {images} }};
static void send(int operation, const void *what) {{
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = what;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}}
static void print(uint32_t number) {{
  char text[12] = "          ";
  int at = 10;
  do text[--at] = (char)('0' + number % 10); while (number /= 10);
  send(4, text + at);
}}
void main(void) {{
  volatile uint32_t *const timer = (uint32_t *)0x40000000;
  timer[2] = timer[1] = 0xffffffffu;
  timer[0] = 1;
  for (unsigned i = 0; i < sizeof images / sizeof *images; i++) {{
    const uint32_t before = timer[1];
    const int class = {name}_class(images[i]);
    const uint32_t ticks = before - timer[1];
    print((uint32_t)class);
    send(4, " ");
    print(ticks);
    send(4, "\\n");
  }}
  send(0x18, (void *)0x20026);
}}
__attribute__((section(".vectors"), used)) static void *const vectors[] = {{ (void *)0x20400000, (void *)main }};
"""


def missing() -> str:
    """What is not installed of the tools that this needs."""
    return ", ".join(tool for tool in TOOLS if not shutil.which(tool))


def run(header: Path, pixels: np.ndarray, folder: Path) -> tuple[list[int], int]:
    """The classes of images ``(N, C, H, W)``, and the instructions of the last one's
    inference.
    """
    images = ", ".join(
        "{" + ",".join(map(str, image.reshape(-1))) + "}" for image in pixels
    )
    main = MAIN.format(
        header=header.resolve(),
        pixels=pixels[0].size,
        images=images,
        name=c_name(header),
    )
    (folder / "main.c").write_text(main)
    (folder / "link.ld").write_text(LINKER)
    flags = [
        "-mcpu=cortex-m3",
        "-mthumb",
        "-Os",
        "-std=gnu99",
        "-ffreestanding",
        "-nostdlib",
        "-Wall",
        "-Werror",
        "-Wno-main",
    ]
    gcc = [
        "arm-none-eabi-gcc",
        *flags,
        "-T",
        "link.ld",
        "main.c",
        "-lgcc",
        "-o",
        "program.elf",
    ]
    subprocess.run(gcc, cwd=folder, check=True)
    board = [
        "qemu-system-arm",
        "-M",
        "mps2-an385",
        "-icount",
        "shift=0",
        "-nographic",
        "-semihosting",
        "-kernel",
        "program.elf",
    ]
    done = subprocess.run(
        board, cwd=folder, capture_output=True, text=True, timeout=300, check=True
    )
    rows = [
        line.split()
        for line in (done.stdout + done.stderr).splitlines()
        if re.fullmatch(r"\d+ +\d+ *", line)
    ]
    return [int(row[0]) for row in rows], int(rows[-1][1]) * NS_A_TICK


def sizes(header: Path, folder: Path) -> tuple[int, int]:
    """Bytes of code and constants, and of data, of the object file that has the
    function of the class.
    """
    source = (
        f'#include "{header.resolve()}"\nint classify(const unsigned char *p) {{ '
        f"return {c_name(header)}_class(p); }}\n"
    )
    (folder / "object.c").write_text(source)
    gcc = [
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m3",
        "-mthumb",
        "-Os",
        "-ffreestanding",
        "-c",
        "object.c",
    ]
    subprocess.run(gcc, cwd=folder, check=True)
    said = subprocess.run(
        ["arm-none-eabi-size", "object.o"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    text, data, bss = map(int, said.splitlines()[1].split()[:3])
    return text, data + bss
