"""Any text in a comment, a string and a name of C, as gcc and clang take it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paretune.deploy.c_text import as_string, c_name, in_comment

COMPILERS = ("gcc", "clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
ENDS = (
    "*/",
    "/*",
    "//",
    "??/",
    "\\",
    "*\\",
    '"',
    "\n",
    "\u202e",
    "\0",
    "é",
    "\udc80",
    "pics/*.png",
    "%s",
)
TEXTS = st.lists(st.text(max_size=8) | st.sampled_from(ENDS), max_size=5).map("".join)
MANY = st.lists(TEXTS, min_size=1, max_size=30)


def compiled(compiler: str, source: str, folder: Path) -> Path:
    """The program of a source that this compiler takes without a word."""
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    (folder / "main.c").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [compiler, *STRICT, "main.c", "-o", "main"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return folder / "main"


@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=10)
@given(MANY)
@example([*ENDS, "/*/", "**/", "???/", " \\ "])
def test_any_text_stays_in_its_comment(tmp_path_factory, compiler, texts):
    comment = "\n".join(f" * {in_comment(text)}" for text in texts)
    source = f"/*\n{comment}\n */\nint main(void) {{ return 7; }}\n"
    program = compiled(compiler, source, tmp_path_factory.mktemp("comment"))

    assert subprocess.run([program], check=False).returncode == 7


@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=10)
@given(MANY)
@example([*ENDS, "??=", "\x7f1", "Blätter", "1", "10"])
def test_any_text_is_the_string_that_c_has(tmp_path_factory, compiler, texts):
    strings = ", ".join(f"{as_string(text)}, {as_string('|')}" for text in texts)
    sizes = ", ".join(f"sizeof({as_string(text)}), 2" for text in texts)
    main = f"""#include <stdio.h>
static const char *const texts[] = {{ {strings} }};
static const unsigned sizes[] = {{ {sizes} }};
int main(void) {{
    for (unsigned i = 0; i < {2 * len(texts)}; i++) fwrite(texts[i], 1, sizes[i] - 1, stdout);
    return 0;
}}
"""
    program = compiled(compiler, main, tmp_path_factory.mktemp("string"))
    said = subprocess.run([program], capture_output=True, check=True).stdout

    assert said == b"".join(
        text.encode("utf-8", "surrogateescape") + b"|" for text in texts
    )


@given(TEXTS)
def test_a_comment_is_one_line_that_can_be_seen(text):
    assert in_comment(text).isprintable()
    assert not any(end in in_comment(text) for end in ("*/", "/*", "??"))


@given(st.text(min_size=1).filter(lambda text: Path(text).name == text))
def test_a_prefix_is_a_name_of_c(text):
    assert c_name(Path(f"{text}.h")).isidentifier()
    assert c_name(Path(f"{text}.h")).isascii()
