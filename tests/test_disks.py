"""Files that were cut off, and folders without room: real files and a real, full
disk.
"""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import StoreError
from paretune.paths import is_cut_off, is_sqlite, sqlite_url, temporary_folder
from paretune.search.study import open_study

DIRECTIONS = ["minimize"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """The content of a study's file."""
    file = tmp_path_factory.mktemp("whole") / "optuna.db"
    optuna.create_study(study_name="s", storage=sqlite_url(file))
    return file.read_bytes()


@given(share=st.floats(0.001, 0.999))
def test_a_study_that_was_cut_off_anywhere_is_named_as_that(
    whole, tmp_path_factory, share
):
    file = tmp_path_factory.mktemp("cut") / "optuna.db"
    file.write_bytes(whole[: max(32, int(len(whole) * share))])

    with pytest.raises(
        StoreError,
        match=rf"study storage `{file}` is cut off after .* copy it again, put a backup back",
    ):
        open_study("s", sqlite_url(file), DIRECTIONS, None)


def test_a_whole_study_is_not_cut_off(whole, tmp_path):
    file = tmp_path / "optuna.db"
    file.write_bytes(whole)

    assert not is_cut_off(file)
    assert open_study("s", sqlite_url(file), DIRECTIONS, None).study_name == "s"


@pytest.mark.parametrize("look", [is_cut_off, is_sqlite])
def test_a_look_at_a_database_leaves_the_locks_of_this_process(tmp_path, look):
    """Or the last connection of another one would take the journal away below ours."""
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE numbers (n)")
        look(file)
        other = f"import sqlite3; sqlite3.connect({str(file)!r}).execute('SELECT * FROM numbers')"
        subprocess.run([sys.executable, "-c", other], check=True)

        assert Path(f"{file}-wal").exists()


@pytest.mark.parametrize(
    "content", [b"no database", b"x" * 5000, b"SQLite format 2\0" + b"x" * 5000]
)
def test_a_study_that_is_no_database_is_named_as_that(tmp_path, content):
    file = tmp_path / "optuna.db"
    file.write_bytes(content)

    with pytest.raises(
        StoreError,
        match=rf"study storage `{file}` \(.* bytes\) is no SQLite database; .* put a backup",
    ):
        open_study("s", sqlite_url(file), DIRECTIONS, None)
    assert file.read_bytes() == content


def test_a_damaged_study_is_named_as_that(whole, tmp_path):
    file = tmp_path / "optuna.db"
    file.write_bytes(whole[:100] + b"x" * (len(whole) - 100))

    with pytest.raises(
        StoreError,
        match=r"cannot be used \(.*malformed.*\); the file is damaged: put a backup back",
    ):
        open_study("s", sqlite_url(file), DIRECTIONS, None)


def test_what_is_no_url_is_named_as_that():
    with pytest.raises(
        StoreError,
        match=r"study storage `optuna.db` cannot be used .*; expected an SQLAlchemy URL",
    ):
        open_study("s", "optuna.db", DIRECTIONS, None)


@pytest.fixture
def on_full_disk(tmp_path):
    """Runs Python code whose temporary files are on a disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=64k none "{disk}" && exec "$@"',
        "sh",
    ]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs rights that this user has not")

    def run(code: str) -> str:
        command = [*inside, "env", f"TMPDIR={disk}", sys.executable, "-c", code]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path
        ).stderr

    return run


@pytest.mark.parametrize(
    "code",
    [
        (
            "from paretune.paths import temporary_folder\nwith temporary_folder() as "
            "f: (f / 'a').write_bytes(b'x' * 100_000)"
        ),
        # a header that is longer than there is room, and one whose program is
        (
            "from paretune.deploy.c_program import run_program\nrun_program('int "
            "main(){return 0;}', [Path('long.h')])"
        ),
        (
            "from paretune.deploy.c_program import "
            "run_program\nrun_program(open('main.c').read(), [])"
        ),
    ],
    ids=["write", "header", "program"],
)
def test_a_full_temporary_folder_is_named_as_that(on_full_disk, tmp_path, code):
    (tmp_path / "long.h").write_text("//" + "x" * 100_000)
    values = ", ".join(str(i) for i in range(8_000))
    (tmp_path / "main.c").write_text(
        f"static const int t[8000] = {{{values}}}; int main(int n, char **v) {{ "
        f"return t[n]; }}"
    )

    said = on_full_disk(f"from pathlib import Path\n{code}").strip().splitlines()[-1]
    assert (
        f"temporary folder `{tmp_path}/disk` is full (No space left on device); "
        "free some space, or"
    ) in said


MAKES_A_STORE_TWICE = """
import os, subprocess
from paretune.errors import StoreError
from paretune.tracking import Store
store = os.path.join(os.environ["TMPDIR"], "mlflow.db")
try:
    Store(f"sqlite:///{store}").create()
except StoreError as error:
    print(error, os.path.exists(store))
subprocess.run(["mount", "-o", "remount,size=20m", os.environ["TMPDIR"]], check=True)
Store(f"sqlite:///{store}").create()
print("goes on")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kibibytes", [64, 200, 400])
def test_a_store_whose_disk_was_full_when_it_was_made_is_made_once_there_is_room(
    on_full_disk, tmp_path, kibibytes
):
    resized = (
        f'subprocess.run(["mount", "-o", "remount,size={kibibytes}k", '
        'os.environ["TMPDIR"]], check=True)'
    )
    code = MAKES_A_STORE_TWICE.replace("try:", f"{resized}\ntry:", 1)

    said = (
        on_full_disk(f"import sys\nsys.stdout = sys.stderr\n{code}")
        .strip()
        .splitlines()
    )
    assert (
        f"tracking store `{tmp_path}/disk/mlflow.db` cannot be used: its disk is "
        "full; free some"
    ) in said[-2]
    assert said[-2].endswith("False")
    assert said[-1] == "goes on"


def test_an_error_of_another_file_is_not_taken_for_a_full_disk():
    with pytest.raises(FileNotFoundError, match="none"), temporary_folder():
        Path("none").read_bytes()
