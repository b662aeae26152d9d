"""No password that a URL holds reaches an output, a file or a list of processes."""

import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from paretune.commands.entry_point import main
from paretune.commands.table import COMMANDS
from paretune.errors import ConfigError
from paretune.secrets import masked, refuse_passwords

SECRET = "first@2026/SEC RET"
URLS = (
    "postgresql+psycopg://me:{}@host:5432/db",
    "http://me@corp:{}@mlflow:5000/x",
    "mysql://:{}@h/db?a=b@c",
    "HTTPS://my user:{}@h",
)
SETTINGS = (
    "postgresql://me@h/db?x=1&password={}&y=2",
    "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3D{}",
    "http://h?api_token={}",
)
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def refusal_of(text: str) -> str:
    with pytest.raises(ConfigError, match="holds a password") as refusal:
        refuse_passwords(text)
    return str(refusal.value)


@given(st.sampled_from(URLS), PASSWORDS)
@example(URLS[0], "2026/SECRET")
@example(URLS[1], "fir@st:se/co nd://x")
def test_the_refusal_is_the_same_whatever_the_password(url, password):
    assert refusal_of(f"storage={url.format(password)}") == refusal_of(
        f"storage={url.format('other')}"
    )


@given(
    st.sampled_from(SETTINGS),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="&"), min_size=1
    ),
)
def test_a_password_among_the_settings_of_a_url_is_refused_without_repeating_it(
    url, password
):
    assert refusal_of(url.format(password)) == refusal_of(url.format("other"))


@given(st.from_regex(r"[a-z]{1,4}://[a@:/?&= 1]{0,12}", fullmatch=True))
def test_all_that_sqlalchemy_takes_for_a_password_is_refused(url):
    try:
        password = make_url(url).password
    except (ArgumentError, ValueError):
        return
    if password:
        assert f":{password}@" not in refusal_of(url)


@pytest.mark.parametrize(
    "harmless",
    [
        "sqlite:////a/b:c@d.db",
        "postgresql+psycopg://ann@host:5432/db",
        "http://127.0.0.1:5000",
        "http://127.0.0.1/a@b:c",
        "hydra.searchpath=[file://.,'file:///home/me@corp/sweeps']",
        "https://host/?tokenizer=a&pass=1",
        "model=choice(a,b)",
        None,
        "a@b:c",
    ],
)
def test_what_holds_no_password_is_let_through(harmless):
    refuse_passwords(harmless)

    assert masked(harmless or "") == (harmless or "")


@pytest.mark.parametrize("url", [URLS[0], URLS[1], SETTINGS[0]])
@pytest.mark.parametrize("command", [*COMMANDS, "misspelt"])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "name {}",
        "name --uri {}",
        "storage={}",
        "name hydra.sweeper.storage={} --nonsense",
    ],
)
def test_no_command_repeats_or_keeps_a_password(
    answered, monkeypatch, tmp_path, command, url, form
):
    monkeypatch.chdir(tmp_path)
    name, *rest = form.split(" ")
    arguments = [part.format(url.format(SECRET)) for part in (name, *rest)]
    answer = answered(main, *([command] if command != "misspelt" else []), *arguments)

    assert answer.code == 2
    assert "SEC" not in answer.out + answer.err
    assert files_with("SEC", tmp_path) == []


@pytest.mark.parametrize("arguments", [["train"], ["train", "-m"], ["sweep", "mine"]])
@pytest.mark.parametrize(
    "setting",
    ["tracking: {uri: '%s'}", "storage: '%s'", "hydra: {sweeper: {storage: '%s'}}"],
)
def test_a_password_in_a_config_file_is_refused_before_hydra_saves_it(
    answered, monkeypatch, tmp_path, arguments, setting
):
    file = tmp_path / "work/sweeps/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\n" + setting % URLS[0].format(SECRET))
    monkeypatch.chdir(tmp_path / "work")
    answer = answered(
        main,
        *arguments,
        *(["sweeps=mine"] if "mine" not in arguments else []),
        "data=digits",
        "model=dense",
    )

    assert answer.code == 2
    assert answer.err.startswith(
        "paretune: URL `postgresql+psycopg://me:***@host:5432/db` holds a password"
    )
    assert len(answer.err.splitlines()) == 1
    assert files_with("SEC", tmp_path) == [file]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    ["train tracking.uri=%s", "train -m tracking.uri=%s", "train -m storage=%s"],
)
def test_a_password_from_the_environment_is_refused_where_it_is_used(
    answered, monkeypatch, tmp_path, arguments
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRIVATE", URLS[0].format(SECRET))
    answer = answered(
        main, *(arguments % "${oc.env:PRIVATE}").split(), "data=digits", "model=dense"
    )

    assert answer.code == 2
    assert "SEC" not in answer.out + answer.err
    assert files_with("SEC", tmp_path) == []


def files_with(text: str, folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_a_foreign_apps_password_is_not_in_the_command_to_go_on_with(monkeypatch):
    from hydra_plugins.paretune_sweeper._session import resume_command

    monkeypatch.setattr(
        sys, "orig_argv", ["python", "app.py", "-m", f"db={URLS[0].format(SECRET)}"]
    )

    assert (
        resume_command()
        == "python app.py -m 'db=postgresql+psycopg://me:***@host:5432/db'"
    )
