"""Two processes and one study on PostgreSQL."""

import pytest

from search.test_claims import assert_each_attempt_has_one_worker

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]


def test_each_attempt_at_a_trial_has_one_worker(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", str(postgres.passfile))

    assert_each_attempt_has_one_worker(postgres.url)
