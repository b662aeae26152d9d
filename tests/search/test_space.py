import numpy as np
import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from paretune.errors import ConfigError
from paretune.overrides import quote
from paretune.search.distributions import draw_uniform, list_values
from paretune.search.grammar import read_value, write_value
from paretune.search.space_parser import parse_space


def parsed(*lines, groups=(), own=None):
    return parse_space(
        lines, is_group=lambda key: key in groups, own_space=own or (lambda _: {})
    )


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("choice(3,5)", CategoricalDistribution([3, 5])),
        ("choice(a,b)", CategoricalDistribution(["a", "b"])),
        ("3,5", CategoricalDistribution([3, 5])),
        ("choice([4,4],[8])", CategoricalDistribution(["[4,4]", "[8]"])),
        ("choice('a,b',c)", CategoricalDistribution(["'a,b'", "c"])),
        ("range(1,8)", IntDistribution(1, 8)),
        ("range(0,10,2)", IntDistribution(0, 10, step=2)),
        ("range(0.0,1.0,0.25)", FloatDistribution(0.0, 1.0, step=0.25)),
        ("shuffle(range(1,3))", CategoricalDistribution([1, 2])),
        ("interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("int(interval(4,32))", IntDistribution(4, 32)),
        ("tag(log,interval(0.001,0.1))", FloatDistribution(0.001, 0.1, log=True)),
        ("tag(log,int(interval(4,32)))", IntDistribution(4, 32, log=True)),
        ("tag(log,range(4,32))", IntDistribution(4, 32, log=True)),
    ],
)
def test_the_grammar_means_what_it_means_to_hydra_optuna_sweeper(sweep, expected):
    assert parsed(f"x={sweep}").all_distributions() == {"x": expected}


TEXTS = st.text(st.characters(exclude_categories=["Cs"])).filter(
    lambda text: text != "null" and "${" not in text
)
NESTED = st.recursive(
    TEXTS | st.integers() | st.booleans(),
    lambda parts: st.lists(parts, max_size=3),
    max_leaves=5,
)


def read(line: str) -> object:
    return OverridesParser.create().parse_override(line).value()


@given(st.lists(TEXTS, min_size=2, max_size=4, unique=True))
@example(
    [
        "a=b",
        "a(b",
        "it's",
        "a&b",
        "a#b",
        "größe",
        " a ",
        "1",
        "true",
        "[x]",
        "{a:1}",
        "",
        "\\",
        "a\\'b",
        "Null",
        "a\nb",
    ]
)
def test_every_text_survives_space_study_and_override(texts):
    for sweep in (
        f"choice({','.join(map(quote, texts))})",
        ",".join(map(quote, texts)),
    ):
        space = parsed(f"x={sweep}")
        study = optuna.create_study(
            sampler=optuna.samplers.GridSampler({"x": space.common["x"].choices})
        )
        drawn = [study.ask(space.all_distributions()).params for _ in texts]
        assert {
            read(line) for params in drawn for line in space.overrides(params)
        } == set(texts)
        assert [
            read_value(space.take_values(lambda _, t=text: t, "start")["x"])
            for text in texts
        ] == texts


@given(st.lists(NESTED, min_size=1, max_size=3))
def test_every_text_in_a_list_survives(choices):
    space = parsed(f"x=choice({','.join(map(write_value, choices))},z)")

    assert [read_value(choice) for choice in space.common["x"].choices] == [
        *choices,
        "z",
    ]


def test_a_database_keeps_every_text(tmp_path):
    texts = ["a=b", "it's", 'say "a"', "größe", " a ", "1", "a\x00b", "😀", "\\"]
    study = optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/s.db")
    space = parsed(f"x=choice({','.join(map(quote, texts))})")
    study.add_trials(
        [
            create_trial(
                params={"x": c}, distributions=space.all_distributions(), value=0.0
            )
            for c in space.common["x"].choices
        ]
    )
    stored = optuna.load_study(
        study_name="s", storage=f"sqlite:///{tmp_path}/s.db"
    ).trials

    assert [read(space.overrides(trial.params)[0]) for trial in stored] == texts


def test_plain_values_are_fixed():
    space = parsed("data=digits", "x=range(1,2)", "~y")

    assert space.fixed == ["data=digits", "~y"]
    assert list(space.all_distributions()) == ["x"]


def test_an_entry_of_a_space_that_searches_nothing_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"space `w=4..32` is not a sweep; expected choice, range or interval",
    ):
        parsed("x=range(1,2)", own=lambda lines: {"w": "4..32"})


def test_each_choice_of_a_group_brings_its_own_space():
    own = {
        "model=a": {"w": "range(1,3)"},
        "model=b": {"w": "range(1,9)", "k": "choice(3,5)"},
    }
    space = parsed(
        "model=choice(a,b)",
        "lr=interval(0,1)",
        groups=["model"],
        own=lambda lines: own[lines[-1]],
    )

    assert set(space.distributions("a")) == {"lr", "a/w"}
    assert set(space.distributions("b")) == {"lr", "b/w", "b/k"}
    assert space.overrides({"model": "b", "lr": 0.5, "b/w": 7, "b/k": 3}) == [
        "model=b",
        "lr=0.5",
        "w=7",
        "k=3",
    ]


def test_what_the_command_line_fixes_leaves_the_space():
    own = {
        "model.widths.0": "range(1,3)",
        "model.widths.1": "range(1,3)",
        "lr": "interval(0,1)",
        "drop": None,
    }

    assert set(parsed("lr=0.1", own=lambda _: own).all_distributions()) == {
        "model.widths.0",
        "model.widths.1",
    }
    assert set(parsed("model.widths=[2,2]", own=lambda _: own).all_distributions()) == {
        "lr"
    }


@pytest.mark.parametrize("prefix", ["+", "++"])
def test_what_the_command_line_adds_leaves_the_space_too(prefix):
    own = {"model.widths.0": "range(1,3)", "model.widths.1": "range(1,3)"}

    assert set(
        parsed(f"{prefix}model.widths.0=5", own=lambda _: own).all_distributions()
    ) == {"model.widths.1"}


def test_a_fixed_group_keeps_its_own_space():
    space = parsed(
        "model=a", groups=["model"], own=lambda _: {"model.width": "range(1,3)"}
    )

    assert list(space.all_distributions()) == ["model.width"]


@given(st.integers(-50, 50), st.integers(0, 60))
def test_ranges_keep_their_ends(low, length):
    (distribution,) = (
        parsed(f"x=int(interval({low},{low + length}))").all_distributions().values()
    )

    assert (distribution.low, distribution.high) == (low, low + length)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x=interval(3", r"override `x=interval\(3` cannot be read"),
        (
            "x=interval(3,1)",
            (
                r"sweep `x=interval\(3,1\)` is empty \(.*\); expected a lower end "
                r"below the upper one"
            ),
        ),
        (
            "x=tag(log,range(1,9,2))",
            (
                r"is empty \(.*\); expected a lower end .* without a step where the "
                r"logarithm is searched"
            ),
        ),
        ("x=tag(log,interval(0,1))", r"sweep `x=tag\(log,interval\(0,1\)\)` is empty"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(line, message):
    with pytest.raises(ConfigError, match=message):
        parsed(line)


@pytest.mark.parametrize(
    "dist", [IntDistribution(16, 64, step=16), FloatDistribution(0.1, 0.4, step=0.1)]
)
def test_every_step_of_a_range_is_as_likely_as_any_other(dist):
    rng = np.random.default_rng(0)
    drawn = [draw_uniform(dist, rng) for _ in range(4000)]

    assert all(900 < drawn.count(value) < 1100 for value in list_values(dist))
