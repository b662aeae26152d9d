import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paretune.errors import ConfigError
from paretune.paths import masked, refuse_passwords

WORD = st.text("abcXYZ019.-_%+", min_size=1)
PASSWORD = st.text("abcXYZ019.-_%+/:?", min_size=1)


@given(WORD, PASSWORD, WORD)
def test_no_message_repeats_a_password(user, password, host):
    assume(not re.match(r"\d+/", password))  # reads as a port and a path
    url = f"postgresql+psycopg://{user}:{password}@{host}:5432/db"

    assert masked(url) == f"postgresql+psycopg://{user}:***@{host}:5432/db"
    with pytest.raises(ConfigError, match="holds a password") as refusal:
        refuse_passwords(f"storage={url}")
    assert f":{password}@" not in str(refusal.value) or password == "***"


def test_a_password_among_the_settings_of_a_url_is_refused():
    url = "postgresql+psycopg://ann@host/db?sslmode=require&password=s3cret&x=1"

    assert masked(url) == "postgresql+psycopg://ann@host/db?sslmode=require&password=***&x=1"
    with pytest.raises(ConfigError, match=r"password=\*\*\*&x=1` holds a password"):
        refuse_passwords(url)


@pytest.mark.parametrize(
    "harmless",
    [
        "sqlite:////a/b.db",
        "postgresql+psycopg://ann@host:5432/db",
        "http://127.0.0.1:5000",
        "http://127.0.0.1:5000/a@b",
        "postgresql+psycopg://db:5432/paretune?options=-csearch_path%3Dme@x",
        "model=choice(a,b)",
        None,
        "a@b:c",
    ],
)
def test_what_holds_no_password_is_let_through(harmless):
    refuse_passwords(harmless)

    assert masked(harmless or "") == (harmless or "")
