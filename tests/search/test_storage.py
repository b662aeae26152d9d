"""A database that does not answer for a while, values that trials share, and one home
for what Optuna keeps private.
"""

import ast
import gc
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Timer
from uuid import uuid4

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage, _cached_storage
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

import paretune
from paretune.errors import StoreError
from paretune.retry import FaultError, patience
from paretune.search import storage
from paretune.search.claims import ask
from paretune.search.storage import PatientStorage
from paretune.search.study import BUSY_S, open_study, share_value


def database(tmp_path: Path, *, trials: int = 1) -> tuple[optuna.Study, Path]:
    """A study in a file, and the file."""
    path = tmp_path / "optuna.db"
    study = open_study(
        "s", f"sqlite:///{path}", ["minimize"], optuna.samplers.RandomSampler()
    )
    for _ in range(trials):
        study.ask()
    return study, path


@contextmanager
def locked(path: Path, seconds: float, meanwhile: str = "SELECT 1") -> Iterator[None]:
    """Hold a database as another process does, which writes something."""
    with closing(
        sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute(meanwhile)
        timer = Timer(seconds, other.execute, ["COMMIT"])
        timer.start()
        yield
        timer.cancel()
        timer.join()


def test_a_call_is_tried_until_the_database_is_free(tmp_path, caplog):
    study, path = database(tmp_path)
    with locked(path, BUSY_S + 1):
        study.set_user_attr("a", 1)

    assert study.user_attrs == {"a": 1}


def test_it_gives_up_in_the_end_and_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LONGEST_OUTAGE_S", -1.0)
    study, path = database(tmp_path)

    expected = (
        r"the study's database `.*optuna.db` has not answered for 0 s; see what holds or "
        r"stopped it"
    )
    with locked(path, BUSY_S + 1), pytest.raises(FaultError, match=expected):
        study.set_user_attr("a", 1)


def test_nothing_is_waited_for_once_somebody_asked_to_stop(tmp_path):
    study, path = database(tmp_path)
    patience.end()

    with locked(path, 30), pytest.raises(FaultError, match="has not answered"):
        study.set_user_attr("a", 1)


def test_a_trial_that_an_earlier_try_finished_is_finished(tmp_path, monkeypatch):
    """The first try came through, its answer did not."""
    study, _ = database(tmp_path)
    write = RDBStorage.set_trial_state_values
    answers = iter([sqlite3.OperationalError("database is locked")])

    def write_and_lose_the_answer(*arguments, **named):
        written = write(*arguments, **named)
        for lost in answers:
            lost.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise OperationalError("COMMIT", {}, lost)
        return written

    patient = storage.patiently(write_and_lose_the_answer)
    monkeypatch.setattr(PatientStorage, "set_trial_state_values", patient)
    trial_id = study.trials[0]._trial_id
    study._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    assert list(answers) == []  # it was lost
    assert study.trials[0].state is TrialState.FAIL


def test_a_finished_trial_is_refused_by_the_first_try(tmp_path):
    study, _ = database(tmp_path)
    study.tell(0, 1.0)

    with pytest.raises(UpdateFinishedTrialError, match="has already finished"):
        study._storage.set_trial_state_values(
            study.trials[0]._trial_id, TrialState.FAIL
        )


def deleted(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbled(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))


def another_file(path: Path) -> None:
    path.write_bytes(b"a text, no database " * 500)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (deleted, "was deleted or emptied; restore it"),
        (emptied, "was deleted or emptied; restore it"),
        (garbled, "is damaged; restore it"),
        (another_file, "is no SQLite database; give the right file"),
    ],
)
def test_what_does_not_come_back_by_itself_is_told_at_once(tmp_path, damage, words):
    study, path = database(tmp_path)
    study._storage._backend.engine.dispose()
    gc.collect()  # a connection that is left would read its log
    damage(path)

    with pytest.raises(
        FaultError,
        match=rf"the study's database `.*optuna.db` cannot be used: it {words}",
    ):
        study.set_user_attr("a", 1)


@pytest.mark.parametrize(
    ("made_anew", "words"),
    [(False, "is not there any more"), (True, "was deleted or emptied")],
)
def test_a_file_that_is_deleted_while_it_is_open_is_missed(tmp_path, made_anew, words):
    """The next connection of SQLite makes an empty one."""
    study, path = database(tmp_path)
    storage.refuse_broken(study)
    path.rename(tmp_path / "elsewhere.db")
    if made_anew:
        path.touch()

    with pytest.raises(FaultError, match=rf"optuna.db` cannot be used: it {words}"):
        storage.refuse_broken(study)


def test_ctrl_c_amid_a_query_leaves_no_lock(tmp_path, monkeypatch):
    """The sweep still can ask its workers to stop, and they can put their trials
    back.
    """
    url = f"sqlite:///{tmp_path}/optuna.db"
    study = open_study("s", url, ["minimize"], optuna.samplers.RandomSampler())
    for _ in range(3):
        study.tell(study.ask(), 1.0)

    def interrupted(rows: object, context: object):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The query runs, nobody has fetched its rows.
        patch.setattr("sqlalchemy.orm.loading.instances", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            study.get_trials()
    other = sqlite3.connect(tmp_path / "optuna.db", timeout=0.1)

    other.execute(
        "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, "
        "'paretune:stop', 'true')"
    )
    other.commit()
    assert caught.value.__traceback__, (
        "it holds the frames, and so their cursors, until here"
    )


def calls_of_the_cache() -> set[str]:
    """What Optuna's cache uses of the storage behind it, by Optuna's own source."""
    tree = ast.parse(Path(_cached_storage.__file__).read_text())
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {
        node.attr for node in attributes if ast.unparse(node.value) == "self._backend"
    }


# Which ask no database.
SETTINGS = {"get_heartbeat_interval", "get_heartbeat_stale_trial_callback"}


def test_every_call_of_the_cache_to_its_database_waits():
    calls = calls_of_the_cache() - SETTINGS

    assert len(calls) > 20
    assert {name for name in calls if name not in vars(PatientStorage)} == set()


def test_joining_a_sweep_that_nobody_started_is_refused(tmp_path):
    with pytest.raises(
        StoreError,
        match=r"study `none` is not in `sqlite:.*`; start it with paretune sweep",
    ):
        open_study(
            "none", f"sqlite:///{tmp_path}/optuna.db", ["minimize"], None, join=True
        )


@pytest.fixture(params=["memory", "database"])
def study(request, tmp_path) -> optuna.Study:
    url = f"sqlite:///{tmp_path}/optuna.db" if request.param == "database" else None
    return open_study("s", url, ["minimize"], optuna.samplers.RandomSampler())


def test_the_first_value_is_kept_and_nothing_is_chosen_again(study):
    assert [
        share_value(study, "layout", lambda n=n: {"threads": n}) for n in (1, 2)
    ] == [{"threads": 1}] * 2


def test_values_have_names(study):
    assert [
        share_value(study, name, lambda name=name: {"of": name}) for name in "ab"
    ] == [
        {"of": "a"},
        {"of": "b"},
    ]


def test_of_two_that_choose_at_the_same_time_both_get_what_was_stored_first(tmp_path):
    first, second = (
        open_study(
            "s",
            f"sqlite:///{tmp_path}/optuna.db",
            ["minimize"],
            optuna.samplers.RandomSampler(),
        )
        for _ in range(2)
    )
    values = []

    def choose_slowly() -> dict[str, int]:
        values.append(share_value(first, "layout", lambda: {"threads": 1}))
        return {"threads": 2}

    values.append(share_value(second, "layout", choose_slowly))

    assert values == [{"threads": 1}] * 2


KINDS = {
    "whole": IntDistribution(1, 9),
    "log": FloatDistribution(1e-3, 1.0, log=True),
    "name": CategoricalDistribution(["a", None, 2]),
}
DRAWS = {
    "whole": st.integers(1, 9),
    "log": st.floats(1e-3, 1.0),
    "name": st.sampled_from(["a", None, 2]),
}
REPORTS = st.dictionaries(
    st.integers(0, 9), st.floats(allow_infinity=True, allow_nan=True), max_size=3
)
NOTES = st.dictionaries(
    st.text(max_size=9),
    st.none() | st.integers() | st.text() | st.lists(st.integers()),
    max_size=3,
)


@st.composite
def trials(draw: st.DrawFn) -> optuna.trial.FrozenTrial:
    """A trial in any state, with anything that Optuna keeps of one."""
    state, params = (
        draw(st.sampled_from(list(TrialState))),
        draw(st.fixed_dictionaries({}, optional=DRAWS)),
    )
    value = draw(st.floats(allow_nan=False)) if state is TrialState.COMPLETE else None
    kinds = {name: KINDS[name] for name in params}
    noted = {
        "user_attrs": draw(NOTES),
        "system_attrs": draw(NOTES),
        "intermediate_values": draw(REPORTS),
    }
    return optuna.create_trial(
        state=state, value=value, params=params, distributions=kinds, **noted
    )


@given(
    made=st.lists(trials(), max_size=4),
    above=st.integers(-1, 3),
    included=st.sets(st.integers(1, 4), max_size=2),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trials_are_read_as_optuna_reads_them(tmp_path, made, above, included):
    study = open_study(
        uuid4().hex,
        f"sqlite:///{tmp_path}/optuna.db",
        ["minimize"],
        optuna.samplers.RandomSampler(),
    )
    study.add_trials(made)
    database, first = (
        study._storage._backend,
        study.trials[0]._trial_id - 1 if made else 0,
    )
    asked = (
        study._study_id,
        None,
        {first + number for number in included},
        first + above if above >= 0 else -1,
    )
    ours, theirs = (
        database._get_trials(*asked),
        RDBStorage._get_trials(database, *asked),
    )

    assert repr(ours) == repr(theirs)  # a nan is not equal to itself
    assert [list(trial.params) for trial in ours] == [
        list(trial.params) for trial in theirs
    ]


VALUES = {"x": FloatDistribution(0, 1), "n": IntDistribution(1, 9)}


def suggest_values(trial: optuna.Trial, values=VALUES) -> optuna.Trial:
    """The trial, after its values were written at once."""
    with storage.written_together(trial):
        for name, dist in values.items():
            storage.suggest(trial, name, dist)
    return trial


def test_values_written_together_are_those_that_were_suggested(study):
    for _ in range(3):
        trial = suggest_values(study.ask())
        read = study.get_trials(deepcopy=False)[-1]
        assert read.params == trial.params
        assert read.distributions == trial.distributions == VALUES


def test_values_of_a_trial_that_is_over_are_refused(tmp_path):
    study, _ = database(tmp_path, trials=0)
    suggest_values(study.ask())
    trial = study.ask()
    study.tell(trial.number, state=TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError):
        suggest_values(trial)


def test_another_distribution_of_a_name_is_refused_as_optuna_does(tmp_path):
    study, _ = database(tmp_path, trials=0)
    suggest_values(study.ask())
    with pytest.raises(ValueError, match="distribution"):
        suggest_values(study.ask(), {"x": IntDistribution(0, 1)})


@pytest.fixture
def _in_tokyo(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
def test_a_trial_starts_now_in_every_time_zone(tmp_path):
    study, _ = database(tmp_path, trials=0)
    trial, _ = ask(study, lambda number: number < 1)

    assert abs(study.trials[trial.number].datetime_start - datetime.now()) < timedelta(
        hours=1
    )


def test_trials_of_a_study_that_is_gone_are_missed(tmp_path):
    study, _ = database(tmp_path)

    with pytest.raises(KeyError):
        study._storage._backend._get_trials(study._study_id + 1, None, set(), -1)


@cache
def private_names_of_optuna() -> set[str]:
    """Every attribute with a leading underscore that Optuna's own source uses."""
    trees = [
        ast.parse(path.read_text())
        for path in Path(optuna.__file__).parent.rglob("*.py")
    ]
    attributes = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    return {
        name for name in attributes if name.startswith("_") and not name.endswith("_")
    }


def private_uses(source: str) -> list[str]:
    """What a file uses of Optuna that is private: modules and attributes, also by
    ``getattr``.
    """
    uses = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "optuna"
        ):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [
                part
                for alias in node.names
                if alias.name.startswith("optuna")
                for part in alias.name.split(".")
            ]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") not in (
            "self",
            "cls",
        ):
            names = [node.attr] if node.attr in private_names_of_optuna() else []
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "setattr",
            "hasattr",
        ):
            names = [getattr(argument, "value", "") for argument in node.args[1:2]]
        else:
            continue
        uses += [
            name
            for name in names
            if isinstance(name, str)
            and name.startswith("_")
            and not name.endswith("__")
        ]
    return uses


SOURCE = Path(paretune.__file__).parents[1]
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != Path(storage.__file__))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_this_file_uses_what_optuna_keeps_private(path):
    assert private_uses(path.read_text()) == []


def test_private_uses_are_seen():
    source = (
        "from optuna._hypervolume import wfg\nimport "
        "optuna.storages._rdb\nstudy._storage\ngetattr(study, '_study_id')\nself._x"
    )

    assert private_uses(source) == ["_hypervolume", "_rdb", "_storage", "_study_id"]
