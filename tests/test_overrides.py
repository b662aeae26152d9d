"""Names are text as typed, whatever Hydra's grammar would make of them."""

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from paretune.commands.sweep import bring_sweep
from paretune.commands.train import cli
from paretune.errors import ConfigError
from paretune.overrides import is_text, quote, quote_name, quote_option
from paretune.settings import check

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
NUMBERS = st.one_of(
    st.floats().map(str),
    st.integers().map(str),
    st.from_regex(
        r"[0-9]{1,3}\.[0-9]{0,2}0|[0-9]e[0-9]|[1-9]_[0-9]|0[0-9]", fullmatch=True
    ),
    st.sampled_from(
        [
            "true",
            "False",
            "NaN",
            "-inf",
            "[a]",
            "{a:1}",
            "a b",
            "a=b",
            "it's",
            "größe",
            "(",
            "x(",
        ]
    ),
)


def read(line: str) -> object:
    return OverridesParser.create().parse_override(line).value()


@given(NUMBERS)
def test_a_name_that_reads_as_something_else_is_the_text_as_typed(typed):
    assert read(quote_name(f"name={typed}", ["name"])) == typed


@given(TEXTS)
def test_every_text_in_quotes_is_read_as_itself(text):
    assert read(f"name={quote(text)}") == text
    assert is_text(quote(text))


def test_the_number_of_a_group_below_another_is_text():
    """A model that was exported is called after its parameters."""
    assert read(quote_option("+sweeps/mine/models=193", ["model"])) == "193"


@pytest.mark.parametrize(
    "line", ["name=null", "name=a,b", "name='1.10'", "name=mnist", "seed=1", "name"]
)
def test_a_line_that_needs_no_quotes_is_left_as_it_is(line):
    assert quote_name(line, ["name"]) == line


@pytest.mark.parametrize("typed", ["1.10", "1e3", "007", "a b", "on it's"])
def test_the_config_has_the_name_as_typed(command, typed):
    assert yaml.safe_load(command(f"name={typed}", "--cfg", "job").out)["name"] == typed


def test_a_sweep_whose_file_is_called_like_a_number_is_found(
    answered, monkeypatch, tmp_path
):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/1.10.yaml").write_text("# @package _global_\nname: '1.10'\n")
    monkeypatch.chdir(tmp_path)

    assert "name: '1.10'" in answered(cli, *bring_sweep(["1.10"]), "--cfg", "job").out


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../../x",
        "a/../../x",
        "/x",
        "a//b",
        "./a",
        "a/",
        ".",
        "",
        "a,b",
        "runs",
        "runs/x",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(
        ConfigError,
        match="is invalid; choose one for a folder of its own, without a comma",
    ):
        check("name", name)


@pytest.mark.parametrize("name", ["../../x", "runs"])
@pytest.mark.parametrize("setting", ["name", "hydra.sweeper.study_name"])
def test_such_a_name_is_refused_before_anything_is_written(
    command, tmp_path, setting, name
):
    before = set(tmp_path.rglob("*"))
    answer = command("-m", "data=digits", "model=dense", f"{setting}={name}")

    assert answer.code == 2
    assert f"name `{name}` is invalid; choose one for a folder of its own" in answer.err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("value", "is_quoted"),
    [("5", True), ("1.5", True), ("true", True), ("conv", False), ("{a: 1}", False)],
)
def test_an_option_that_reads_as_a_number_or_a_truth_value_is_text(value, is_quoted):
    line = quote_option(f"model={value}", {"model"})

    assert line == (f"model='{value}'" if is_quoted else f"model={value}")
    assert quote_option(f"seed={value}", {"model"}) == f"seed={value}"
