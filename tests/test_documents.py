"""The documents: links that lead somewhere, short sentences, a README of one screen,
one version.
"""

import re
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest
import yaml
from studies.prose import LONG, lengths, reference_pages
from studies.record import found, readme_rows

import paretune

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
REFERENCE = [ROOT / "README.md", *reference_pages()]
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(path: Path) -> list[str]:
    """What a page links to and shows of this repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", path.read_text()))
    return [
        target for target in targets if not target.startswith(("http://", "https://"))
    ]


@cache
def anchors(path: Path) -> set[str]:
    """The names of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(path):
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link} names no heading"


PUBLIC_NAMES = re.findall(
    r"^::: (\S+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_name_of_the_api_reference_is_there_and_says_what_it_is(name):
    module, _, thing = name.rpartition(".")

    assert getattr(import_module(module), thing).__doc__


PARTS_OF_A_PATH = r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|cpp|c|csv|yaml|ipynb))`"
EXAMPLES = re.compile(r"(mine|yours|NAME)\.yaml|yours\.py")  # files of a reader
# What a path of a page starts from.
FOLDERS = (ROOT, ROOT / "src/paretune", ROOT / "tests/sweeper/apps/digits")


@pytest.mark.parametrize(
    "path", [*REFERENCE, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=name_of
)
def test_every_file_that_a_page_names_is_there(path):
    named = [
        name
        for name in re.findall(PARTS_OF_A_PATH, path.read_text())
        if not EXAMPLES.search(name)
    ]

    assert [
        name
        for name in named
        if not any((folder / name).is_file() for folder in FOLDERS)
    ] == []


@pytest.mark.parametrize("path", REFERENCE, ids=name_of)
def test_a_page_of_reference_has_short_sentences_about_now(path):
    """One sentence in twenty may be longer than 25 words, and one of a short page."""
    words = lengths([path])

    assert sum(count > LONG for count in words) <= max(1, len(words) // 20)
    assert not re.search(r"since then", path.read_text(), re.IGNORECASE)


def test_a_sentence_of_the_reference_has_a_dozen_words():
    assert median(lengths(REFERENCE)) <= 13


def test_the_readme_is_one_screen():
    text = (ROOT / "README.md").read_text()

    assert len(text.splitlines()) <= 60
    assert text.count("](docs/record.png)") == 1


def test_the_readme_has_the_figures_that_are_committed():
    lines = (ROOT / "README.md").read_text().splitlines()

    assert [line for line in lines if re.match(r"\| [\d,]+ \|", line)] == readme_rows(
        found()
    )


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_is_in_an_index(path):
    """README, or the index of the documents or of the journal, leads to each."""
    indexes = [
        ROOT / "README.md",
        ROOT / "docs/README.md",
        ROOT / "docs/journal/README.md",
    ]
    reached = {
        (index.parent / link.partition("#")[0]).resolve()
        for index in indexes
        for link in links(index)
    }

    assert path in reached | {indexes[0]}


def test_the_version_has_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert "version" in project["dynamic"]
    assert citation["version"] == paretune.__version__
    assert f"## {paretune.__version__}" in (ROOT / "CHANGELOG.md").read_text()
