"""Clocks that are set back or forward, between runs and during a run, change no order and no decision."""

import dataclasses
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faults.made import made_model
from faults.operations import without_canary
from nights import QUICK, InProcessWorker, fill, made_listens

import item2vec
from item2vec import Engine, versions
from item2vec.config import RetentionConfig
from item2vec.errors import NothingToTrainError
from item2vec.retraining.earlier_versions import protocol_of, read_earlier_results
from item2vec.store import Store

DAY = timedelta(days=1)
FORWARD = datetime(2099, 1, 1, tzinfo=UTC)
BACK = datetime(2003, 1, 1, tzinfo=UTC)  # after all interactions of made_listens
PRESENT = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTS = [PRESENT, FORWARD, BACK, PRESENT + DAY]
KEEP_TWO = QUICK.replace(retention=RetentionConfig(pages=False, reports=2, versions=2))


@pytest.fixture(scope="module")
def listens():
    return made_listens(60)


@pytest.fixture
def in_process(monkeypatch, tmp_path_factory):
    """Execute jobs in this process, and skip the canary."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    monkeypatch.syspath_prepend(without_canary(tmp_path_factory.mktemp("in_process")))


def times_of_files(folder, when):
    """Set the modification times of all files of a folder."""
    for path in folder.rglob("*"):
        os.utime(path, (when.timestamp(), when.timestamp()))


def test_versions_are_ordered_by_generation(tmp_path):
    model = made_model()
    first, second, third = (item2vec.publish(model, tmp_path, now=now) for now in (FORWARD, BACK, PRESENT))
    times_of_files(second.path, FORWARD)
    assert [version.id for version in versions.list_versions(tmp_path)] == [first.id, second.id, third.id]
    back = versions.rollback(tmp_path, reason="a test", now=BACK - DAY)
    assert (back.id, back.generation) == (second.id, 4)
    assert versions.held(tmp_path).at == BACK - DAY
    versions.release(tmp_path)
    fourth = item2vec.publish(model, tmp_path, now=BACK - 2 * DAY)
    assert (fourth.generation, fourth.previous) == (5, second.id)
    assert [version.id for version in versions.gc(tmp_path, keep=1)] == [first.id, third.id]
    assert [row.version.generation for row in versions.overview(tmp_path)] == [2, 5]


@pytest.mark.parametrize("when", [BACK, FORWARD])
def test_leases_and_reloads_do_not_depend_on_times_of_files(tmp_path, when):
    first = item2vec.publish(made_model(seed=0), tmp_path)
    with versions.Live(tmp_path, every=None) as live:
        leased = live.model
        for seed in range(1, 4):
            item2vec.publish(made_model(seed=seed), tmp_path)
        times_of_files(tmp_path, when)
        assert first.id not in {version.id for version in versions.gc(tmp_path, keep=1)}
        assert live.check()
        assert live.model.vectors.config.seed == 3
        del leased


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_nights_with_a_clock_that_jumps(listens, tmp_path, caplog):
    url, models = fill(f"sqlite:///{tmp_path}/item2vec.db", listens), tmp_path / "models"
    made = []
    for now in NIGHTS:
        caplog.clear()
        made.append(item2vec.retrain(models=models, store=url, config=KEEP_TWO, force="a test", now=now))
        is_behind = len(made) > 1 and NIGHTS[len(made) - 2] > now
        assert ("the system clock is a day or more behind" in caplog.text) == is_behind
        kept = {path.name for path in (models / "runs").iterdir()}
        assert kept == {run.path.name for run in made[-2:]}
        started, finished = (
            datetime.fromisoformat(made[-1].report[name]) for name in ("started_at", "finished_at")
        )
        assert started == now
        assert timedelta(0) < finished - started < DAY
        remaining = [version.id for version in versions.list_versions(models)]
        assert remaining == [run.version.id for run in made[-2:]]
    assert [run.version.generation for run in made] == list(range(1, len(NIGHTS) + 1))
    assert [run.report["live"]["version"] for run in made[1:]] == [run.version.id for run in made[:-1]]
    assert all(
        run.report["live"]["promoted"][0]["version"] == before.version.id
        for run, before in zip(made[1:], made, strict=False)
    )
    with Store(url) as store:
        assert [run.version for run in store.runs()] == [run.version.id for run in reversed(made)]


def test_the_report_of_the_newest_generation_is_the_reference(tmp_path):
    protocol = protocol_of(QUICK)
    (tmp_path / "runs").mkdir()
    for generation, now in enumerate([FORWARD, BACK, PRESENT], 1):
        id_ = f"g{generation:010}-0a1b2c3d"
        report = {"status": "promoted", "version": id_, "data": {"users": generation}}
        (tmp_path / "runs" / f"{now:%Y%m%dT%H%M%SZ}-{id_}.json").write_text(json.dumps(report))
    assert read_earlier_results(None, tmp_path, protocol)["data"] == {"users": 3}


@pytest.mark.usefixtures("in_process")
def test_a_clock_before_all_interactions_is_named(listens, tmp_path):
    url, models = fill(f"sqlite:///{tmp_path}/item2vec.db", listens), tmp_path / "models"
    item2vec.publish(made_model(), models)
    before = versions.served_version(models)
    with pytest.raises(NothingToTrainError, match=r"ahead of 1960-01-01.*check the clock"):
        item2vec.retrain(models=models, store=url, config=QUICK, now=datetime(1960, 1, 1, tzinfo=UTC))
    assert versions.served_version(models) == before
    made = item2vec.retrain(models=models, store=url, config=QUICK, force="a test")
    assert made.version.previous == before.id


@pytest.mark.parametrize("bundle", [False, True])
def test_an_engine_whose_clock_is_behind_reads_histories_as_training_did(listens, tmp_path, bundle):
    ahead = datetime.now(UTC) + 400 * DAY
    microseconds = int(ahead.timestamp() * 1e6) - listens.timestamp.max()
    url = fill(
        f"sqlite:///{tmp_path}/item2vec.db",
        dataclasses.replace(listens, timestamp=listens.timestamp + microseconds),
    )
    vectors = made_model(n_items=24).vectors
    vectors = dataclasses.replace(
        vectors, vocabulary=item2vec.Vocabulary(tuple(f"g1 s{n} é" for n in range(24)))
    )
    model = item2vec.Recommender(vectors)
    sources = {}
    for name, now in {"present": None, "ahead": ahead}.items():
        served = item2vec.publish(model, tmp_path / name, now=now)
        with Engine(models=served.path if bundle else tmp_path / name, store=url) as engine:
            sources[name] = engine.recommend("u1", k=3, filter_seen=False)[0].source
    assert sources == {"present": "popular", "ahead": "model"}


def test_durations_are_measured_by_the_monotonic_clock():
    sources = [path for path in Path(item2vec.__file__).parent.rglob("*.py") if "_shipped" not in path.parts]
    assert len(sources) > 100
    assert [path for path in sources if re.search(r"\btime\.time(_ns)?\(", path.read_text())] == []
