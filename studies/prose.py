"""How long the sentences of the documents are: ``python -m studies.prose``, or with
files behind it.

Prose is what is left without code, tables, headings and pictures. Each list item is a
paragraph of its own; what stands in backquotes counts as one word.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
LONG = 25  # words
NOT_PROSE = re.compile(
    r"^(```.*?^```|#.*?$|\s*\|.*?$|!\[.*?$|:::.*?$)", re.DOTALL | re.MULTILINE
)
INDENTED_CODE = re.compile(r"^ +```.*?^ +```", re.DOTALL | re.MULTILINE)
BLOCK_START = re.compile(r"\n\s*\n|\n(?=\s*(?:[*+-]|\d+\.)\s)")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(*]*[A-Z0-9`])")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|etc|vs)\.")


def sentences(markdown: str) -> list[str]:
    """The sentences of a Markdown text."""
    prose = NOT_PROSE.sub("", INDENTED_CODE.sub("", markdown))
    prose = re.sub(r"!\[.*?\]\(.*?\)", "", prose, flags=re.DOTALL)
    prose = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", prose)
    prose = re.sub(r"(`+).+?\1", "`code`", prose, flags=re.DOTALL)
    prose = ABBREVIATIONS.sub(r"\1", prose)
    blocks = [" ".join(block.split()) for block in BLOCK_START.split(prose)]
    blocks = [re.sub(r"^(?:[*+-]|\d+\.)\s+", "", block) for block in blocks]
    return [
        sentence
        for block in blocks
        for sentence in SENTENCE_END.split(block)
        if re.search(r"\w", sentence)
    ]


def count_words(sentence: str) -> int:
    """The number of its words; dashes and signs alone are none."""
    return sum(1 for word in sentence.split() if re.search(r"\w", word))


def lengths(files: Iterable[Path]) -> list[int]:
    """The words of each sentence of these files."""
    return [
        count_words(sentence)
        for file in files
        for sentence in sentences(file.read_text())
    ]


def share_long(words: Iterable[int]) -> float:
    """The share of sentences with more than 25 words."""
    counts = list(words)
    return sum(count > LONG for count in counts) / len(counts)


def reference_pages() -> list[Path]:
    """The documents that say how things work now: all but the journal, the recipes'
    table and the list of changes.
    """
    return sorted(
        path for path in (ROOT / "docs").glob("*.md") if path.name != "recipes.md"
    )


def row(name: str, files: Iterable[Path]) -> str:
    """A line of the table: sentences, their median of words, the share over 25, the
    longest.
    """
    words = lengths(files)
    if not words:
        return f"{name:46} no sentences"
    return (
        f"{name:46} {len(words):5} {median(words):6.1f} {share_long(words):8.1%} "
        f"{max(words):8}"
    )


def main(names: list[str]) -> None:
    """Print a line for each file, and for the kinds of documents together."""
    print(f"{'file':46} {'sents':>5} {'median':>6} {'over 25':>8} {'longest':>8}")
    if names:
        print("\n".join(row(name, [Path(name)]) for name in names))
        return
    readme = ROOT / "README.md"
    pages = reference_pages()
    journal = sorted((ROOT / "docs/journal").glob("*.md"))
    print(
        "\n".join(
            row(str(file.relative_to(ROOT)), [file])
            for file in [readme, *pages, *journal]
        )
    )
    print(row("README and reference", [readme, *pages]))
    if journal:
        print(row("journal", journal))


if __name__ == "__main__":
    main(sys.argv[1:])
