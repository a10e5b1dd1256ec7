"""The commands ``runs`` and ``runs show``, on SQLite and PostgreSQL, and the score and age of versions."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from item2vec.cli.models import _age
from item2vec.service import Serving

NOW = datetime(2024, 2, 29, 3, 15, tzinfo=UTC)
CONFIG = {
    "models": "/srv/models",
    "host": "night",
    "run": "g0000000001-0a1b2c3d",
    "settings": {"evaluation": {"k": 5}},
}
GATES = {
    "queries": {
        "name": "queries",
        "passed": True,
        "value": 240.0,
        "least": 30.0,
        "most": None,
        "what": "users",
    },
    "finite": {"name": "finite", "passed": False, "value": None, "least": None, "most": None, "what": "nan"},
}


@pytest.fixture
def recorded(store):
    """Record a promoted, a refused and a running run."""
    first = store.begin_run(config=CONFIG, now=NOW)
    store.finish_run(
        first,
        status="promoted",
        version="g0000000001-0a1b2c3d",
        reason="new catalogue",
        gates=GATES,
        metrics={"ndcg@5": 0.25, "hr@5": 0.5},
        now=NOW + timedelta(seconds=90.5),
    )
    second = store.begin_run(config=CONFIG, now=NOW + timedelta(days=1))
    reason = f"finite: {'x' * 200}"
    store.finish_run(second, status="refused", reason=reason, gates=GATES, now=NOW + timedelta(days=2))
    third = store.begin_run(config=CONFIG | {"settings": {}}, now=NOW + timedelta(days=3))
    return [third, second, first]


def test_the_runs_are_listed_newest_first_as_over_http(item2vec, url, store, recorded):
    code, out, err = item2vec("runs", "--store", url, "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["id"] for row in rows] == recorded
    assert rows[0] | {"gates": {}} == {
        "id": recorded[0],
        "run": CONFIG["run"],
        "started_at": "2024-03-03T03:15:00+00:00",
        "finished_at": None,
        "seconds": None,
        "status": "running",
        "version": None,
        "reason": None,
        "metric": None,
        "value": None,
        "passed": [],
        "refused": [],
        "gates": {},
        "metrics": {},
    }
    assert [(row["seconds"], row["metric"], row["value"]) for row in rows[1:]] == [
        (86_400.0, None, None),
        (90.5, "ndcg@5", 0.25),
    ]
    assert (rows[2]["passed"], rows[2]["refused"], rows[2]["gates"]) == (["queries"], ["finite"], GATES)
    served = SimpleNamespace(store=store, has_store=True)
    assert json.loads(json.dumps(Serving.runs(served, 20))) == rows
    assert [
        row["id"] for row in json.loads(item2vec("runs", "--store", url, "--limit", "1", "--json")[1])
    ] == (recorded[:1])


def test_the_table_of_runs_shortens_reasons(item2vec, url, recorded):
    code, out, _ = item2vec("runs", "--store", url)
    header, running, refused, promoted = out.splitlines()
    assert code == 0
    assert header.split() == [
        "id", "started_at", "seconds", "status", "version", "passed", "refused", "metric", "value", "reason",
    ]  # fmt: skip
    assert "2024-03-03T03:15:00+00:00" in running
    assert "finite: xxx" in refused
    assert "…" in refused
    assert "x" * 60 not in refused
    assert {"90", "ndcg@5", "promoted", "g0000000001-0a1b2c3d", "finite", "0.250"} <= {*promoted.split()}


def test_a_run_is_shown_with_its_gates(item2vec, url, recorded):
    code, out, _ = item2vec("runs", "show", str(recorded[2]), "--store", url)
    lines = out.splitlines()
    assert code == 0
    assert {"reason       new catalogue", "value        0.25"} <= {*lines}
    assert any(line.split()[:3] == ["queries", "True", "240"] for line in lines)
    code, out, _ = item2vec("runs", "show", str(recorded[1]), "--store", url, "--json")
    assert (code, json.loads(out)["reason"]) == (0, f"finite: {'x' * 200}")


def test_an_unknown_run_names_the_command_that_lists_them(item2vec, url, recorded):
    code, out, err = item2vec("runs", "show", "999", "--store", url)
    assert (code, out) == (2, "")
    assert "the store has no run 999; list the runs with item2vec runs" in err


@pytest.mark.parametrize("words", [("runs",), ("runs", "show", "1")])
def test_a_store_without_schema_is_an_error_that_names_the_remedy(item2vec, words):
    code, out, err = item2vec(*words)
    assert (code, out) == (2, "")
    assert "item2vec db upgrade" in err


@pytest.mark.parametrize("words", ["runs show x", "runs show -1", "runs --limit 0", "runs lst"])
def test_invalid_words_are_refused(item2vec, words):
    assert item2vec(*words.split())[0] == 2


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(-5, "0 min"), (0, "0 min"), (3_599, "59 min"), (3_600, "1 h"), (86_399, "23 h"), (86_400, "1 d")],
)
def test_ages_are_in_the_largest_unit_that_fits(seconds, age):
    assert _age(seconds) == age
