"""Runs and promotions in the store, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from strategies import ODD_IDS

from item2vec.errors import InputError, InvalidIdError, StoreError
from item2vec.store import Promotion, Run

NOW = datetime(2024, 2, 29, 3, 15, 0, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=20)
CONFIG = {"models": "/srv/models", "host": "night", "pid": 7, "training": {"dimension": 64, "alpha": 0.025}}
MOVE = {"generation": 1, "version": "g1", "previous": None, "manifest_sha256": "0" * 64, "actor": "retrain"}


def test_a_run_is_returned_as_recorded(store):
    gates = {"recall": {"value": 0.1 + 0.2, "floor": 1e-300, "passed": True}, "é😀": ["\n", None, -(2**63)]}
    run = store.begin_run(config=CONFIG, now=NOW)
    assert store.runs() == [Run(run, NOW, None, "running", None, None, CONFIG, {}, {})]
    store.finish_run(run, status="promoted", version="g1", gates=gates, metrics={"hr": 0.5}, now=LATER)
    assert store.runs() == [Run(run, NOW, LATER, "promoted", "g1", None, CONFIG, gates, {"hr": 0.5})]


@pytest.mark.parametrize("status", ["refused", "failed"])
def test_a_run_without_a_promotion_has_a_reason(store, status):
    run = store.begin_run(config=CONFIG, now=NOW)
    store.finish_run(run, status=status, reason="recall 0.1, floor 0.2", now=LATER)
    assert [(run.status, run.version, run.reason) for run in store.runs()] == [
        (status, None, "recall 0.1, floor 0.2")
    ]


def test_a_run_ends_once(store):
    run = store.begin_run(config=CONFIG, now=NOW)
    store.finish_run(run, status="failed", reason="first", now=LATER)
    ended = store.runs()
    store.finish_run(run, status="failed", reason="again", now=LATER + timedelta(hours=1))
    with pytest.raises(InputError, match=rf"run {run} has already ended with status 'failed'"):
        store.finish_run(run, status="promoted", version="g1", now=LATER)
    with pytest.raises(InputError, match=rf"run {run + 1} does not exist"):
        store.finish_run(run + 1, status="promoted", version="g1", now=LATER)
    assert store.runs() == ended


def test_only_runs_of_this_folder_and_host_are_closed(store):
    elsewhere = [CONFIG | {"models": "/srv/models2"}, CONFIG | {"host": "day"}]
    ended = store.begin_run(config=CONFIG, now=NOW)
    store.finish_run(ended, status="refused", reason="gate", now=NOW)
    others = [store.begin_run(config=config, now=NOW) for config in elsewhere]
    dead = [store.begin_run(config=CONFIG | {"pid": pid}, now=NOW) for pid in (1, 2)]
    assert store.close_interrupted_runs("/srv/models", "night", LATER) == 2
    assert store.close_interrupted_runs("/srv/models", "night", LATER + timedelta(1)) == 0
    assert {run.id: (run.status, run.reason, run.finished_at) for run in store.runs()} == {
        ended: ("refused", "gate", NOW),
        **dict.fromkeys(others, ("running", None, None)),
        **dict.fromkeys(dead, ("failed", "interrupted", LATER)),
    }


def test_the_newest_runs_come_first(store):
    ids = [store.begin_run(config=CONFIG, now=NOW - timedelta(number)) for number in range(25)]
    assert ids == sorted({*ids})
    assert [run.id for run in store.runs()] == ids[:-21:-1]
    assert [run.id for run in store.runs(limit=2)] == [ids[-1], ids[-2]]
    with pytest.raises(InputError):
        store.runs(limit=0)


@pytest.mark.parametrize(
    "value", [float("nan"), [float("-inf")], {"a": {"b": float("inf")}}, 2**63, "a\0b", "\ud800", {1: 2}, NOW]
)
def test_values_that_are_not_json_are_refused_before_any_write(store, value):
    run = store.begin_run(config=CONFIG, now=NOW)
    before = store.runs()
    for call in (
        lambda: store.begin_run(config=CONFIG | {"odd": value}, now=NOW),
        lambda: store.finish_run(run, status="refused", gates={"odd": value}, now=NOW),
        lambda: store.finish_run(run, status="refused", metrics={"odd": value}, now=NOW),
    ):
        with pytest.raises(InputError, match=r"config|gates|metrics"):
            call()
    assert store.runs() == before


def test_invalid_arguments_of_a_run_are_refused(store):
    run = store.begin_run(config=CONFIG, now=NOW)
    for config in ({}, {"models": "m"}, {"host": "h"}):
        with pytest.raises(InputError, match="expected models and host"):
            store.begin_run(config=config, now=NOW)
    with pytest.raises(InputError, match="no time zone"):
        store.begin_run(config=CONFIG, now=datetime(2024, 1, 1))
    for status in ("running", "done", ""):
        with pytest.raises(InputError, match="expected one of promoted, refused, failed"):
            store.finish_run(run, status=status, now=NOW)
    with pytest.raises(InvalidIdError):
        store.finish_run(run, status="promoted", version="", now=NOW)
    with pytest.raises(InputError, match="reason"):
        store.finish_run(run, status="failed", reason="\0", now=NOW)
    assert [run.status for run in store.runs()] == ["running"]


def test_promotions_are_returned_newest_first(store):
    run = store.begin_run(config=CONFIG, now=NOW)
    store.record_promotion(**MOVE, run_id=run, now=NOW)
    second = {**MOVE, "generation": 2, "version": "g2", "previous": "g1", "reason": "é", "actor": "ann"}
    store.record_promotion(**second, now=LATER)
    back = {**MOVE, "generation": 3, "previous": "g2", "reason": "bad week", "actor": "ann"}
    store.record_promotion(**back, now=LATER)
    assert store.promotions() == [
        Promotion(**back, run_id=None, promoted_at=LATER),
        Promotion(**second, run_id=None, promoted_at=LATER),
        Promotion(**MOVE, run_id=run, reason=None, promoted_at=NOW),
    ]
    assert store.promotions(limit=1) == store.promotions()[:1]


def test_a_repeated_promotion_changes_nothing(store):
    store.record_promotion(**MOVE, now=NOW)
    before = store.promotions()
    store.record_promotion(**{**MOVE, "actor": "someone else"}, now=LATER)
    assert store.promotions() == before


def test_each_models_folder_has_its_own_generations(store):
    for version in ("g1-a", "g1-b", "G1-a", *ODD_IDS):
        store.record_promotion(**{**MOVE, "version": version}, now=NOW)
    assert {promotion.version for promotion in store.promotions(limit=10_000)} == {
        "g1-a",
        "g1-b",
        "G1-a",
        *ODD_IDS,
    }


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"generation": 0}, StoreError),
        ({"generation": 2**63}, InputError),
        ({"version": ""}, InvalidIdError),
        ({"previous": "a\0"}, InvalidIdError),
        ({"manifest_sha256": "0"}, StoreError),
        ({"run_id": 77}, StoreError),
        ({"actor": "\ud800"}, InputError),
        ({"reason": "a\0b"}, InputError),
        ({"now": datetime(2024, 1, 1)}, InputError),
    ],
)
def test_an_invalid_promotion_is_refused(store, change, error):
    with pytest.raises(error):
        store.record_promotion(**{**MOVE, "now": NOW, **change})
    assert store.promotions() == []


def test_concurrent_runs_have_distinct_ids(store):
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda pid: store.begin_run(config=CONFIG | {"pid": pid}, now=NOW), range(20)))
    assert {run.id: run.config["pid"] for run in store.runs()} == dict(zip(ids, range(20), strict=True))
