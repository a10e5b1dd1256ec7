"""Retention: old versions are removed unless they are served, recent, pinned or loaded."""

import gc as collector
import importlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from faults.child import ENVIRONMENT, HANGING, needs_proc, run
from faults.made import all_rankings, made_model
from faults.operations import litter, loaded_meanwhile, served_seed, without_canary

import item2vec
from item2vec import files, versions
from item2vec.errors import BundleNotFoundError, ConfigError, CorruptBundleError
from item2vec.versions import locks


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(without_canary(tmp_path_factory.mktemp("quick")))
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "models"
    for seed in range(4):
        item2vec.publish(made_model(seed=seed), path)
    return path


@pytest.fixture
def models(published, tmp_path):
    """A models folder with four versions, made from the seeds 0 to 3; the last one is served."""
    return shutil.copytree(published, tmp_path / "models")


def ids(models):
    return [version.id for version in versions.list_versions(models)]


def serve(models, number):
    """Serve a version by a rollback; return the new promotion."""
    return versions.rollback(models, to=ids(models)[number], reason="a test")


@pytest.mark.parametrize(
    ("keep", "left"), [(1, [2, 3]), (2, [2, 3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_gc_keeps_the_newest_the_served_and_the_previous_version(models, keep, left):
    version_ids = ids(models)
    removed = versions.gc(models, keep=keep)
    assert ids(models) == [version_ids[number] for number in left]
    assert [version.id for version in removed] == [id_ for id_ in version_ids if id_ not in ids(models)]
    assert served_seed(models) == 3
    assert litter(models) == []


def test_gc_keeps_an_old_version_that_is_served_after_a_rollback(models):
    version_ids = ids(models)
    serve(models, 0)
    assert [version.id for version in versions.gc(models, keep=1)] == version_ids[1:3]
    assert served_seed(models) == 0
    assert item2vec.publish(made_model(seed=4), models).generation == 6


def test_gc_keeps_pinned_versions(models):
    version_ids = ids(models)
    versions.pin(models, version_ids[0])
    versions.pin(str(models), version_ids[0])
    versions.pin(models, version_ids[1])
    versions.unpin(models, version_ids[1])
    versions.unpin(models, version_ids[1])
    assert versions.pinned(models) == {version_ids[0]}
    versions.gc(models, keep=1)
    assert ids(models) == [version_ids[0], *version_ids[2:]]
    assert litter(models) == []


@pytest.mark.parametrize("id_", ["g0000000009-00000000", "../../elsewhere", "", "CURRENT"])
def test_only_existing_versions_can_be_pinned(models, id_):
    for change in (versions.pin, versions.unpin):
        with pytest.raises(BundleNotFoundError, match="no version"):
            change(models, id_)
    assert not (models / "pins").exists()


def test_the_pin_of_a_removed_version_can_be_deleted(models):
    first = ids(models)[0]
    versions.pin(models, first)
    shutil.rmtree(models / "versions" / first)
    versions.unpin(models, first)
    assert versions.pinned(models) == set()


@pytest.mark.parametrize("keep", [0, -1])
def test_gc_refuses_to_keep_less_than_one(models, keep):
    with pytest.raises(ConfigError, match="at least 1"):
        versions.gc(models, keep=keep)


def test_gc_removes_nothing_if_the_served_version_is_unknown(models):
    (models / "CURRENT").write_bytes(b"{")
    with pytest.raises(CorruptBundleError, match="CURRENT"):
        versions.gc(models, keep=1)
    (models / "CURRENT").unlink()
    with pytest.raises(BundleNotFoundError, match="nothing is published"):
        versions.gc(models, keep=1)
    assert len(ids(models)) == 4


def test_gc_removes_unreadable_versions(models, tmp_path):
    first, second = (models / "versions" / id_ for id_ in ids(models)[:2])
    shutil.rmtree(first)
    first.symlink_to(tmp_path)
    (tmp_path / "precious").touch()
    (second / "manifest.json").unlink()
    (second / "manifest.json").mkdir()
    (models / "versions" / "g0000000001-00000000").touch()
    assert len(versions.gc(models, keep=1)) == 3
    assert len(ids(models)) == 2
    assert (tmp_path / "precious").exists()


def test_leftovers_of_a_killed_gc_are_removed_by_the_next_change(models):
    first = models / "versions" / ids(models)[0]
    doomed = first.rename(first.with_name(f".gc-{first.name}"))
    (doomed / "input.npy").unlink()
    assert len(ids(models)) == 3
    assert served_seed(models) == 3
    versions.release(models)
    assert litter(models) == []


def test_a_loaded_version_is_kept_while_any_part_of_the_model_is_referenced(models):
    version_ids = ids(models)
    serve(models, 0)
    model = item2vec.load(models)
    vectors, exact = model.vectors, model.exact
    serve(models, 3), serve(models, 2)
    for held in (model, exact, vectors):
        assert version_ids[0] not in [version.id for version in versions.gc(models, keep=1)]
        assert held is not None
        del held
        model = exact = None
    del vectors
    collector.collect()
    assert [version.id for version in versions.gc(models, keep=1)] == [version_ids[0]]


def test_a_version_loaded_by_another_process_is_kept_until_that_process_ends(models):
    serve(models, 0)
    first = versions.served_version(models).id
    hold = "import item2vec, sys; model = item2vec.load(sys.argv[1]); print('loaded', flush=True); input()"
    reader = subprocess.Popen(
        [sys.executable, "-c", hold, str(models)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with reader:
        assert reader.stdout.readline() == b"loaded\n"
        serve(models, 3), serve(models, 2)
        versions.gc(models, keep=1)
        assert first in ids(models)
        reader.kill()
        reader.wait()
    assert [version.id for version in versions.gc(models, keep=1)] == [first]


@needs_proc
def test_child_processes_do_not_inherit_a_lease(models):
    model = item2vec.load(models)
    seen = subprocess.run(
        ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
    )
    assert str(models) not in seen.stdout
    assert model is not None


@needs_proc
def test_repeated_loads_leave_no_file_descriptor_open(models):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        item2vec.load(models)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_loads_succeed_while_versions_are_published_and_removed(models):
    with loaded_meanwhile(models) as loaded:
        for seed in range(4, 10):
            item2vec.publish(made_model(seed=seed), models)
            versions.gc(models, keep=1)
    assert len(set(loaded)) > 1
    assert len(ids(models)) <= 4


def test_a_version_is_loaded_from_a_read_only_folder(models):
    """The mount is read-only, because file permissions do not restrict root."""
    own_mounts = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*own_mounts, "true"], check=False).returncode:
        pytest.skip("unshare cannot create mounts here")
    code = """
import subprocess, sys
from item2vec import versions
from item2vec.versions.locks import claimed
models = sys.argv[1]
subprocess.run(["mount", "--bind", models, models], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", models], check=True)
version, model = versions.load_served(models)
with claimed(version.path) as free:
    print(version.id, free, [summary.states for summary in versions.overview(models)][-1])
"""
    output = run(code, models, prefix=own_mounts)
    assert output == f"{ids(models)[-1]} False ('served', 'leased')\n"


def test_a_version_locked_by_another_process_is_loaded_without_a_lease(models):
    import fcntl

    with (versions.served_version(models).path / "manifest.json").open("rb") as manifest:
        fcntl.flock(manifest, fcntl.LOCK_EX)
        assert served_seed(models) == 3


def test_load_served_returns_the_version_and_its_model(models):
    version, model = versions.load_served(models)
    assert version == versions.served_version(models)
    assert all_rankings(model) == all_rankings(made_model(seed=3))


def test_an_overview_needs_no_locks(models, monkeypatch):
    expected = versions.overview(models)
    assert expected
    for module in (files, locks):
        monkeypatch.setattr(module, "HAS_LOCKS", False)
    assert versions.overview(models) == expected


def test_two_overviews_at_the_same_time_do_not_take_each_other_for_a_lease(models, monkeypatch):
    """The second overview starts while the first one has claimed a version."""
    threads, summaries = [], []

    def summarise():
        summaries.extend(versions.overview(models))

    def pinned(folder):
        if not threads:
            threads.append(threading.Thread(target=summarise))
            threads[0].start()
            threads[0].join(0.5)  # ends only if the second overview does not wait
        return versions.pinned(folder)

    # Not the path as text, which would name the function overview.
    monkeypatch.setattr(importlib.import_module("item2vec.versions.overview"), "pinned", pinned)
    summarise()
    threads[0].join(HANGING)
    assert len(summaries) == 8
    assert not [summary for summary in summaries if "leased" in summary.states]


def test_a_claim_by_another_process_is_not_taken_for_a_lease(models, monkeypatch):
    """The other process ends its claim during the first pause."""
    import fcntl

    with (versions.served_version(models).path / "manifest.json").open("rb") as manifest:
        fcntl.flock(manifest, fcntl.LOCK_EX)
        monkeypatch.setattr(locks.time, "sleep", lambda _: fcntl.flock(manifest, fcntl.LOCK_UN))
        assert versions.overview(models)[-1].states == ("served",)


def test_overview(models):
    version_ids = ids(models)
    versions.rollback(models, reason="jazz")
    versions.pin(models, version_ids[0])
    path = models / "versions" / version_ids[1] / "counts.npy"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    version, model = versions.load_served(models)
    summaries = versions.overview(models)
    assert [summary.states for summary in summaries] == [
        ("pinned",),
        ("damaged",),
        ("served", "leased"),
        ("previous", "held"),
    ]
    assert [summary.version.id for summary in summaries] == version_ids
    assert [summary.version.generation for summary in summaries] == [1, 2, 5, 4]
    assert summaries[2].version == version
    assert summaries[0].size == sum(file.stat().st_size for file in summaries[0].version.path.iterdir())
    assert model is not None
    (models / "CURRENT").write_bytes(b"")
    (models / "HOLD").write_bytes(b"")
    assert [summary.states for summary in versions.overview(models)] == [
        ("pinned",),
        ("damaged",),
        ("leased",),
        (),
    ]
    assert versions.overview(Path("nowhere")) == []
