"""A study on PostgreSQL that Optuna made alone."""

import optuna
import pytest

from paretune.errors import StoreError
from paretune.search.stored_study import read_study
from studies_of_others import add

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]


def test_a_study_on_postgresql_is_read(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", str(postgres.passfile))
    study = optuna.create_study(
        study_name="theirs",
        storage=postgres.url,
        directions=["minimize", "maximize"],
    )
    add(study, (3, 0.5), (4, 0.6))

    assert len(read_study(postgres.url, "theirs").trials) == 2


def test_a_database_without_studies_stays_empty(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", str(postgres.passfile))
    for _ in range(2):
        with pytest.raises(StoreError, match="holds no Optuna study"):
            read_study(postgres.url.replace("/postgres", "/template1"))
