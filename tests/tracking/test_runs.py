from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from paretune.tracking.runs import (
    find_runs_by_client,
)


@given(
    value=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=1,
        max_size=20,
    )
)
@example(value="""a'b"c""")
@example(value="""it's a "b\\""")
@example(value="a' or tags.kind = 'b")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mlflow_finds_the_runs_of_any_name_and_no_others(store, value):
    runs = [
        store.client.create_run(store.experiment_id, tags={"sweep": name})
        for name in (value, f"{value}'", "x")
    ]

    found = find_runs_by_client(store, {"sweep": value})

    assert runs[0].info.run_id in {run.info.run_id for run in found}
    assert {run.data.tags["sweep"] for run in found} == {value}
