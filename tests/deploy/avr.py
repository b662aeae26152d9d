"""A header on an ATmega1284P, whose ``int`` has 16 bits, emulated by simavr: the logits
of images.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from paretune.deploy.c_text import c_name

TOOLS = ("avr-gcc", "simavr")
FLAGS = ("-mmcu=atmega1284p", "-Os", "-std=gnu99", "-Wall", "-Wextra", "-Werror")
CLOCK_HZ = "20000000"
MAIN = """
#include <string.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/sleep.h>
#include "{header}"
static const uint8_t images[{count}][{pixels}] PROGMEM = {{ {images} }};
static uint8_t bytes[{pixels}];
static {pixel} image[{pixels}];
static {logit} logits[{classes}];
static void send(char what) {{
  while (!(UCSR0A & (1 << UDRE0)));
  UDR0 = (uint8_t)what;
}}
static void print(const char *text, uint32_t bits) {{
  while (*text) send(*text++);
  for (int8_t shift = 28; shift >= 0; shift -= 4) send("0123456789abcdef"[(bits >> shift) & 15]);
}}
int main(void) {{
  UCSR0B = 1 << TXEN0;
  for (uint8_t i = 0; i < {count}; i++) {{
    memcpy_P(bytes, images[i], sizeof bytes);
    for (uint16_t p = 0; p < {pixels}; p++) image[p] = ({pixel})(bytes[p] * {unit});
    {name}_logits(image, logits);
    for (uint8_t c = 0; c < {classes}; c++) {{
      uint32_t bits;
      memcpy(&bits, &logits[c], sizeof bits);
      print(" =", bits);
    }}
    send('\\n');
  }}
  cli();
  sleep_mode();
  return 0;
}}
"""


def missing() -> str:
    """What is not installed of the tools that this needs."""
    return ", ".join(tool for tool in TOOLS if not shutil.which(tool))


def run(header: Path, pixels: np.ndarray, classes: int, *, is_int8: bool) -> np.ndarray:
    """The logits ``(N, classes)`` of images uint8 ``(N, C, H, W)``, as the header has
    them.
    """
    rows = ", ".join(
        "{" + ",".join(map(str, image.reshape(-1))) + "}" for image in pixels
    )
    types = {"pixel": "uint8_t", "logit": "int32_t", "unit": "1"}
    if not is_int8:
        types = {"pixel": "float", "logit": "float", "unit": "(1.0f / 255.0f)"}
    sizes = {"count": len(pixels), "pixels": pixels[0].size, "classes": classes}
    folder = header.parent
    (folder / "main.c").write_text(
        MAIN.format(
            header=header.name, name=c_name(header), images=rows, **sizes, **types
        )
    )
    subprocess.run(
        ["avr-gcc", *FLAGS, "main.c", "-o", "program.elf", "-lm"],
        cwd=folder,
        check=True,
    )
    board = ["simavr", "-m", "atmega1284p", "-f", CLOCK_HZ, "program.elf"]
    done = subprocess.run(
        board, cwd=folder, capture_output=True, text=True, timeout=300, check=True
    )
    words = [
        word[1:9]
        for word in (done.stdout + done.stderr).split()
        if word.startswith("=")
    ]
    bits = np.array([int(word, 16) for word in words], np.uint32)
    return bits.view(np.int32 if is_int8 else np.float32).reshape(len(pixels), classes)
