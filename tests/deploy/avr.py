"""A program on an ATmega1284P, whose ``int`` has 16 bits, emulated by simavr: it runs its
own test.
"""

import re
import shutil
import subprocess
from pathlib import Path

from paretune.deploy.c_files import CFiles

TOOLS = ("avr-gcc", "avr-size", "simavr")
STRICT = ("-mmcu=atmega1284p", "-Os", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
CLOCK_HZ = "20000000"
# A board that sends what is printed, and what the test returns.
BOARD = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdio.h>
int run_references(void);
static int send(char letter, FILE *stream) {
  (void)stream;
  while (!(UCSR0A & (1 << UDRE0)));
  UDR0 = (uint8_t)letter;
  return 0;
}
int main(void) {
  static FILE serial;
  fdev_setup_stream(&serial, send, NULL, _FDEV_SETUP_WRITE);
  UCSR0B = 1 << TXEN0;
  stdout = &serial;
  const int failed = run_references();
  printf("returned %d\\n", failed);
  cli();
  sleep_mode();
  return 0;
}
"""


def missing() -> str:
    """What is not installed of the tools that this needs."""
    return ", ".join(tool for tool in TOOLS if not shutil.which(tool))


def run(files: CFiles, folder: Path) -> tuple[int, str]:
    """What the program's test returns, and what it says."""
    build(files.code, folder / "model.o")
    build(files.test, folder / "test.o", "-Dmain=run_references")
    (folder / "board.c").write_text(BOARD)
    link = ["avr-gcc", "-mmcu=atmega1284p", "-Os", "-std=gnu99", "board.c", "model.o"]
    link += ["test.o", "-o", "program.elf", "-lm"]
    subprocess.run(link, cwd=folder, check=True)
    board = ["simavr", "-m", "atmega1284p", "-f", CLOCK_HZ, "program.elf"]
    done = subprocess.run(
        board, cwd=folder, capture_output=True, text=True, timeout=300, check=True
    )
    said = done.stdout + done.stderr
    return int(re.findall(r"returned (\d)", said)[0]), said


def build(source: Path, target: Path, *options: str, language: str = "c") -> None:
    """Compile a file of a program, all warnings errors."""
    standard = "c99" if language == "c" else "c++11"
    gcc = ["avr-gcc", "-x", language, f"-std={standard}", *STRICT, *options]
    subprocess.run([*gcc, "-c", source, "-o", target], check=True)


def sizes(files: CFiles, folder: Path) -> tuple[int, int, int]:
    """Bytes of text, data and bss of the program's object file."""
    build(files.code, folder / "model.o")
    size = ["avr-size", folder / "model.o"]
    said = subprocess.run(size, capture_output=True, text=True, check=True).stdout
    text, data, bss = map(int, said.splitlines()[1].split()[:3])
    return text, data, bss
