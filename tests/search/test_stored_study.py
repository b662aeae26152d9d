import lzma
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest

from paretune.errors import StoreError
from paretune.search.stored_study import TrialEnd, read_study
from studies_of_others import add_failed, make_study, sqlite

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
# By its app of two objectives, with Optuna 2.10.1.
MADE_BY_HYDRA_OPTUNA_SWEEPER = (
    Path(__file__).parents[1] / "stored" / "hydra_optuna_sweeper_1_2_0.db.xz"
)


def test_a_study_is_read_with_its_values_parameters_and_names(tmp_path):
    make_study(tmp_path / "a.db", (3, 0.5), (4, 0.6), names=("ms", "accuracy"))
    study = read_study(sqlite(tmp_path / "a.db"))

    assert (study.name, study.directions) == ("plain", ["minimize", "maximize"])
    assert study.metric_names == ["ms", "accuracy"]
    assert [list(trial.values) for trial in study.trials] == [[3, 0.5], [4, 0.6]]
    assert [trial.params for trial in study.trials] == [{"width": 3}, {"width": 4}]


def test_a_file_is_a_storage_too(tmp_path):
    make_study(tmp_path / "100 % ü?.db", (3, 0.5))

    assert len(read_study(str(tmp_path / "100 % ü?.db")).trials) == 1


def test_ends_and_times_are_those_of_the_trials(tmp_path):
    study = make_study(tmp_path / "a.db", (3, 0.5))
    add_failed(study)
    study.ask()
    first, *others = read_study(sqlite(tmp_path / "a.db")).trials

    assert abs(datetime.now(UTC) - first.ended) < timedelta(minutes=1)
    assert [trial.end for trial in others] == [TrialEnd.FAILED, TrialEnd.RUNNING]


def test_a_trial_beyond_a_constraint_is_infeasible(tmp_path):
    study = make_study(tmp_path / "a.db")
    for violation in (-1.0, 0.5):
        trial = study.ask()
        trial.set_constraint("memory", violation)
        study.tell(trial, [1, 0.5])

    ends = [trial.end for trial in read_study(sqlite(tmp_path / "a.db")).trials]
    assert ends == [TrialEnd.COMPLETE, TrialEnd.INFEASIBLE]


def test_reading_changes_no_byte(tmp_path):
    make_study(tmp_path / "a.db", (3, 0.5))
    before = (tmp_path / "a.db").read_bytes()
    (tmp_path / "a.db").chmod(0o444)
    read_study(sqlite(tmp_path / "a.db"))

    assert (tmp_path / "a.db").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_study_of_optuna_two_is_read_from_a_copy(tmp_path):
    file = tmp_path / "old.db"
    file.write_bytes(lzma.decompress(MADE_BY_HYDRA_OPTUNA_SWEEPER.read_bytes()))
    before = file.read_bytes()
    study = read_study(sqlite(file))

    assert (study.name, len(study.trials)) == ("multi-objective", 25)
    assert set(study.trials[0].params) == {"x", "y"}
    assert file.read_bytes() == before


def test_a_missing_storage_is_told_and_not_made(tmp_path):
    with pytest.raises(StoreError, match=r"a\.db` does not exist; expected the SQLite"):
        read_study(sqlite(tmp_path / "a.db"))

    assert os.listdir(tmp_path) == []


def test_a_database_of_something_else_is_told_and_stays(tmp_path, migrated):
    migrated(tmp_path / "mlflow.db")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(StoreError, match=r"mlflow\.db` holds no Optuna study"):
        read_study(sqlite(tmp_path / "mlflow.db"))

    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("README.md", r"study storage `README\.md` is no SQLite database"),
        ("nonsense://", r"`nonsense://` cannot be read \(it is no SQLAlchemy URL\)"),
        (
            "postgresql+psycopg://me@127.0.0.1:1/none",
            r"`postgresql\+psycopg://me@127\.0\.0\.1:1/none` cannot be read \(",
        ),
        ("mysql+pymysql://me@127.0.0.1/none", "needs the Python package pymysql"),
    ],
)
def test_what_is_no_storage_is_one_line(storage, said):
    with pytest.raises(StoreError, match=said) as error:
        read_study(storage)

    assert len(str(error.value).splitlines()) == 1


def test_several_studies_need_a_name(tmp_path):
    make_study(tmp_path / "a.db", name="first")
    make_study(tmp_path / "a.db", name="second")

    assert read_study(sqlite(tmp_path / "a.db"), "second").name == "second"
    with pytest.raises(StoreError, match="holds 2 studies: first, second; choose one"):
        read_study(sqlite(tmp_path / "a.db"))


def test_an_unknown_name_is_told_with_the_nearest(tmp_path):
    make_study(tmp_path / "a.db", name="first")
    with pytest.raises(
        StoreError, match=r"study `frist` is not in .*did you mean first"
    ):
        read_study(sqlite(tmp_path / "a.db"), "frist")


def test_a_storage_without_a_study_is_one_line(tmp_path):
    make_study(tmp_path / "a.db", name="gone")
    optuna.delete_study(study_name="gone", storage=sqlite(tmp_path / "a.db"))
    with pytest.raises(StoreError, match="holds no study yet"):
        read_study(sqlite(tmp_path / "a.db"))
