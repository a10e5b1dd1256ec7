"""Live follows the served version, and keeps the old model if the new version cannot be loaded."""

import gc
import shutil
import threading
import weakref
from pathlib import Path

import pytest
from faults.child import needs_proc, run
from faults.made import all_rankings
from faults.promoted import captured_log, promote, seed_of, shared_model

import item2vec
from item2vec import versions
from item2vec.errors import BundleNotFoundError, ConfigError
from item2vec.versions.live import Live
from item2vec.versions.locks import claimed


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "models"
    for seed in (0, 1):
        item2vec.publish(shared_model(seed), path)
    return path


@pytest.fixture
def models(published, memory):
    """A models folder with two versions, made from seeds 0 and 1, that serves the first."""
    copy = shutil.copytree(published, memory / "models")
    promote(copy, versions.list_versions(copy)[0])
    return copy


@pytest.fixture
def first(models):
    return versions.list_versions(models)[0]


@pytest.fixture
def second(models):
    return versions.list_versions(models)[1]


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "item2vec-live"]


def test_check_loads_each_newly_served_version(models, first, second):
    with Live(models, every=None) as live:
        assert (live.check(), seed_of(live.model)) == (False, 0)
        for version, seed in ((second, 1), (first, 0), (second, 1)):
            moved = promote(models, version)
            assert live.version.id != version.id
            assert live.check()
            assert (live.version, seed_of(live.model)) == (moved, seed)
            assert all_rankings(live.model) == all_rankings(shared_model(seed))
            assert live.failure is None


def test_a_new_promotion_of_the_same_version_reloads_nothing(models, first, second):
    with Live(models, every=None) as live:
        model = live.model
        promote(models, second)
        moved = promote(models, first)
        assert not live.check()
        assert live.model is model
        assert live.version == moved == versions.served_version(models)


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


def spoil(models, version, harm):
    """Damage or move a file; return a function that repairs it."""
    if harm == "byte":
        flip(version.path / "input.npy")
        return lambda: flip(version.path / "input.npy")
    if harm in {"garbage", "empty"}:
        content = (models / "CURRENT").read_bytes()
        (models / "CURRENT").write_bytes(b"\xff{" if harm == "garbage" else b"")
        return lambda: (models / "CURRENT").write_bytes(content)
    lost = {
        "CURRENT": models / "CURRENT",
        "version": version.path,
        "manifest": version.path / "manifest.json",
        "models": models,
    }[harm]
    kept = lost.rename(models.parent / "kept")
    return lambda: kept.rename(lost)


@pytest.mark.parametrize("harm", ["byte", "garbage", "empty", "CURRENT", "version", "manifest", "models"])
def test_a_damaged_or_missing_version_is_reported_and_the_old_model_stays(models, first, second, harm):
    with Live(models, every=None) as live, captured_log() as (messages, _):
        model, expected = live.model, all_rankings(live.model)
        promote(models, second)
        repair = spoil(models, second, harm)
        assert not live.check()
        failure = live.failure
        assert str(models) in failure.text
        assert not live.check()
        assert live.failure is failure
        assert live.model is model
        assert live.version.id == first.id
        assert all_rankings(model) == expected
        assert messages == [f"{models}: still serving {first.id}: {failure.text}"]
        repair()
        assert live.check()
        assert live.failure is None
        assert all_rankings(live.model) == all_rankings(shared_model(1))


def test_each_failure_is_logged_once_and_ends_with_a_rollback(models, first, second):
    with Live(models, every=None) as live, captured_log() as (messages, _):
        promote(models, second)
        undo = spoil(models, second, "byte")
        live.check()
        undo()
        spoil(models, second, "version")
        live.check()
        live.check()
        assert [
            "input.npy is damaged" in messages[0],
            "contains no bundle" in messages[1],
            len(messages),
        ] == [1, 1, 2]
        promote(models, first)
        assert not live.check()
        assert live.failure is None


@pytest.mark.slow
def test_the_old_model_stays_after_any_exception(models, second):
    code = """
import sys
from pathlib import Path
from faults.promoted import promote, seed_of
from item2vec import versions
from item2vec.versions.live import Live
models = Path(sys.argv[1])
live = Live(models, every=None)
for kind in (MemoryError, RecursionError, KeyError, OSError):
    armed = [kind]
    def hook(event, arguments):
        if event == "open" and armed and str(arguments[0]).endswith("output.npy"):
            raise armed.pop()("injected")
    sys.addaudithook(hook)
    promote(models, versions.list_versions(models)[1 - seed_of(live.model)])
    before = live.model
    assert not live.check() and live.model is before, kind
    assert not armed and "injected" in live.failure.text or kind is OSError, live.failure
    assert live.check() and live.failure is None and live.model is not before
"""
    run(code, models)


@pytest.mark.slow
def test_retries_back_off_exponentially_and_restart_when_current_changes(models):
    code = """
import sys, threading
from pathlib import Path
from faults.promoted import promote
from item2vec import versions
from item2vec.versions.live import Live
models = Path(sys.argv[1])
_, second = versions.list_versions(models)
checks, tries, enough = [], [], threading.Event()
def hook(event, arguments):
    if event == "open" and threading.current_thread().name == "item2vec-live":
        checks.extend(["CURRENT"] * str(arguments[0]).endswith("CURRENT"))
        tries.extend([len(checks)] * str(arguments[0]).endswith("input.npy"))
        if len(checks) >= 300:
            enough.set()
file = second.path / "input.npy"
file.chmod(0o644)
file.write_bytes(file.read_bytes()[:-1] + b"!")
with Live(models, every=0.002):
    promote(models, second)
    sys.addaudithook(hook)
    assert enough.wait(60)
    assert 5 <= len(tries) <= 9, tries  # at checks 1, 3, 7, ..., 255
    promote(models, second)
    del tries[:], checks[:]
    enough.clear()
    assert enough.wait(60)
    assert tries[0] < 60, tries
"""
    run(code, models)


def test_retries_are_at_most_a_minute_apart(models, second):
    with Live(models, every=20.0) as live:
        promote(models, second)
        repair = spoil(models, second, "byte")
        for _ in range(20):
            assert not live._check(back_off=True)
        repair()
        assert any(live._check(back_off=True) for _ in range(3))


def test_the_thread_follows_until_close(models, first, second):
    with captured_log() as (_, wait_for):
        with Live(models, every=0.005) as live:
            assert len(threads()) == 1
            promote(models, second)
            wait_for(f"now serving {second.id}")
            assert seed_of(live.model) == 1
        assert threads() == []
        promote(models, first)
        assert seed_of(live.model) == 1
        assert live.check()
        assert seed_of(live.model) == 0


def test_the_thread_ends_when_live_is_deleted(models):
    live = Live(models, every=3600)
    assert len(threads()) == 1
    del live
    assert threads() == []


@pytest.mark.slow
def test_a_process_exits_without_close(models):
    run("import sys; from item2vec.versions.live import Live; live = Live(sys.argv[1])", models)


def mapped(path):
    return str(path) in Path("/proc/self/maps").read_text()


@needs_proc
def test_an_old_model_is_freed_with_its_last_reference(models, first, second):
    gc.collect()
    gc.disable()
    try:
        live = Live(models, every=None)
        request = live.model
        gone = weakref.ref(request)
        promote(models, second)
        assert live.check()
        assert all_rankings(request) == all_rankings(shared_model(0))
        with claimed(first.path) as free:
            assert not free
        assert mapped(first.path)
        del request
        assert gone() is None
        assert not mapped(first.path)
        with claimed(first.path) as free:
            assert free
    finally:
        gc.enable()


@needs_proc
def test_a_failed_load_leaves_nothing_mapped(models, first, second):
    flip(second.path / "input.npy")
    with Live(models, every=None) as live:
        promote(models, second)
        gc.collect()
        gc.disable()
        try:
            assert not live.check()
            assert not mapped(second.path)
        finally:
            gc.enable()


def test_a_bundle_is_loaded_once(tmp_path):
    shared_model(3).save(tmp_path / "bundle")
    with Live(tmp_path / "bundle", every=0.001) as live:
        assert (live.version, live.check(), threads(), seed_of(live.model)) == (None, False, [], 3)


def test_folders_without_a_published_version(tmp_path):
    with pytest.raises(BundleNotFoundError, match="item2vec train"):
        Live(tmp_path)
    assert threads() == []


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf"), 1e30])
def test_an_invalid_interval_is_refused(models, every):
    with pytest.raises(ConfigError, match="seconds"):
        Live(models, every=every)


@pytest.mark.slow
@needs_proc
def test_the_matrices_of_a_served_model_stay_memory_mapped(tmp_path):
    item2vec.publish(shared_model(0, n_items=10_000, size=256, index="exact"), tmp_path / "models")
    code = """
import re, sys
from pathlib import Path
import numpy as np
import item2vec
from item2vec.versions.live import Live
def private():
    return int(re.search(r"Private_Dirty: +([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1]) >> 10
small = item2vec.ItemVectors(item2vec.Vocabulary(("a", "b")), np.eye(2), None, np.ones(2))
item2vec.Recommender(small).recommend(["a"])  # loads the compiled loops
before = private()
model = Live(sys.argv[1]).model
model.recommend(["item-7", "item-70"])
matrix = model.vectors.input.nbytes >> 20
assert private() - before < matrix, (private() - before, matrix)
assert len(model.similar_items("item-7")) == 10
"""
    run(code, tmp_path / "models")
