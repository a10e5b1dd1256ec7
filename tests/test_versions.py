"""Publishing and loading: the served version is always complete, and the one published last."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from faults.child import ENVIRONMENT, run
from faults.made import all_rankings, made_model
from faults.operations import litter, loaded_meanwhile, served_seed

import item2vec
from item2vec import versions
from item2vec.bundle.seal import sealed
from item2vec.errors import (
    BundleNotFoundError,
    ConfigError,
    CorruptBundleError,
    InputError,
    LockHeldError,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "models"
    item2vec.publish(made_model(seed=0), path)
    return path


@pytest.fixture
def models(published, tmp_path):
    """A models folder with one version, made from seed 0."""
    return shutil.copytree(published, tmp_path / "models")


def point(models, **changes):
    """Change fields of ``CURRENT`` and seal it again."""
    content = json.loads((models / "CURRENT").read_text()) | changes
    content.pop("sha256")
    (models / "CURRENT").write_bytes(sealed(content))


@pytest.mark.usefixtures("canary_process")
def test_publish_serves_the_new_version_and_keeps_the_old_one(models):
    first = versions.served_version(models)
    now = datetime(2024, 2, 29, tzinfo=UTC)
    second = item2vec.publish(made_model(seed=1), str(models), note={"why": "a test"}, now=now)
    assert versions.served_version(models) == second
    assert (first.generation, first.previous) == (1, None)
    assert (second.generation, second.previous) == (2, first.id)
    assert second.path == models / "versions" / second.id
    assert re.fullmatch(r"g0000000002-[0-9a-f]{8}", second.id)
    assert [version.id for version in versions.list_versions(models)] == [first.id, second.id]
    assert versions.verify(models).note == {"why": "a test"}
    assert versions.verify(models).created_at == now
    assert versions.verify(models, first.id).train.seed == 0
    assert served_seed(models) == 1
    assert item2vec.load(first.path).vectors.config.seed == 0
    assert litter(models) == []


def test_a_loaded_model_ranks_like_the_published_one(tmp_path):
    model = made_model(200, score="cosine", index="annoy", items=True)
    item2vec.publish(model, tmp_path / "models")
    assert all_rankings(item2vec.load(tmp_path / "models")) == all_rankings(model)


@pytest.mark.parametrize("n_items", [1, 2, 11])
def test_models_of_few_items_can_be_published(tmp_path, n_items):
    item2vec.publish(made_model(n_items), tmp_path / "models")
    assert len(item2vec.load(tmp_path / "models").vectors) == n_items


def test_a_bundle_is_refused_as_a_models_folder(tmp_path):
    made_model().save(tmp_path / "songs")
    with pytest.raises(ConfigError, match="is a bundle; expected a models folder"):
        item2vec.publish(made_model(), tmp_path / "songs")
    item2vec.load(tmp_path / "songs")


def test_content_of_current(models):
    version = versions.served_version(models)
    content = json.loads((models / "CURRENT").read_text())
    del content["sha256"]
    assert content == {
        "format": 1,
        "generation": 1,
        "manifest_sha256": version.manifest_sha256,
        "previous": None,
        "version": version.id,
    }


def test_folders_without_a_published_version(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun" / "versions").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("nothing", "empty", "begun", "file"):
        for call in (item2vec.load, versions.served_version, versions.verify):
            with pytest.raises(BundleNotFoundError, match="item2vec train"):
                call(tmp_path / name)
    for name in ("nothing", "empty", "begun"):
        assert versions.list_versions(tmp_path / name) == []


def test_an_unknown_version_is_refused(models):
    with pytest.raises(
        BundleNotFoundError,
        match="no version 'g0000000009-00000000'; list the versions: item2vec models list",
    ):
        versions.verify(models, "g0000000009-00000000")


def test_a_failed_write_leaves_the_served_version(models):
    with pytest.raises(InputError, match="JSON"):
        item2vec.publish(made_model(seed=1), models, note={"loss": float("nan")})
    assert served_seed(models) == 0
    assert litter(models) == []
    assert len(versions.list_versions(models)) == 1


def test_a_damaged_version_is_refused_until_the_next_publish(models):
    before = versions.served_version(models)
    path = before.path / "input.npy"
    path.chmod(0o644)
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    with pytest.raises(CorruptBundleError, match=r"serves g.*input.npy is damaged"):
        item2vec.load(models)
    with pytest.raises(CorruptBundleError, match=r"input.npy is damaged"):
        versions.verify(models, before.id)
    item2vec.publish(made_model(seed=1), models)
    assert served_seed(models) == 1


@pytest.mark.parametrize("harm", ["gone", "another", "symlink"])
def test_a_version_that_differs_from_current_is_refused(models, tmp_path, harm):
    version = versions.served_version(models)
    if harm == "symlink":
        shutil.copytree(version.path, tmp_path / "copy")
    shutil.rmtree(version.path)
    if harm == "another":
        made_model(seed=1).save(version.path)
    if harm == "symlink":
        version.path.symlink_to(tmp_path / "copy")
    with pytest.raises(CorruptBundleError, match=f"serves {version.id}"):
        item2vec.load(models)
    (listed,) = versions.list_versions(models) or [None]
    assert (listed is None) == (harm == "gone")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "../../elsewhere"},
        {"version": "/etc"},
        {"version": ""},
        {"version": "g0000000001-0123456"},
        {"version": "g0000000001-01234567/.."},
        {"version": "g0000000001-01234567\n"},
        {"version": "g٠٠٠٠٠٠٠٠٠١-01234567"},
        {"version": 1},
        {"version": None},
        {"generation": 0},
        {"generation": True},
        {"generation": "1"},
        {"generation": 1.5},
        {"previous": "../elsewhere"},
        {"previous": 0},
        {"manifest_sha256": "0" * 63},
        {"manifest_sha256": None},
        {"format": 2},
        {"format": None},
        {"surprise": 1},
    ],
    ids=repr,
)
def test_an_invalid_current_is_refused(models, changes):
    point(models, **changes)
    with pytest.raises(CorruptBundleError, match="CURRENT"):
        item2vec.load(models)
    with pytest.raises(CorruptBundleError, match="CURRENT"):
        item2vec.publish(made_model(seed=1), models)
    assert len(versions.list_versions(models)) == 1


def test_a_current_with_another_manifest_digest_is_refused(models):
    point(models, manifest_sha256="0" * 64)
    with pytest.raises(CorruptBundleError, match=r"manifest.json has SHA-256"):
        item2vec.load(models)


def test_publishing_without_current_keeps_all_versions(models):
    item2vec.publish(made_model(seed=1), models)
    (models / "CURRENT").unlink()
    assert item2vec.publish(made_model(seed=2), models).generation == 3
    assert len(versions.list_versions(models)) == 3


def test_damage_to_current_is_detected(models, tmp_path):
    code = """
import sys
from pathlib import Path
from faults.damage import cut, flip_bytes, put_in_place_of
models = Path(sys.argv[1])
flip_bytes(models / "CURRENT", models, every=1)
cut(models / "CURRENT", models, every=1)
put_in_place_of(models / "CURRENT", models, elsewhere=Path(sys.argv[2]))
"""
    run(code, models, tmp_path / "elsewhere")


def test_leftovers_of_an_interrupted_run_are_removed(models):
    first = versions.served_version(models)
    orphan, other = "g0000000002-0123abcd", "g0000000003-0123abcd"
    (models / "staging" / orphan).mkdir()
    shutil.copytree(first.path, models / "versions" / orphan)
    (models / "staging" / other / ".bundle.0.tmp").mkdir(parents=True)
    (models / "staging" / first.id).mkdir()
    (models / "staging" / "file").touch()
    (models / "CURRENT.0123.tmp").touch()
    second = item2vec.publish(made_model(seed=1), models)
    assert [version.id for version in versions.list_versions(models)] == [first.id, second.id]
    assert litter(models) == []


def test_a_staging_folder_that_is_a_link_is_refused(models, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (models / "staging").rmdir()
    (models / "staging").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigError, match="staging is not a folder"):
        item2vec.publish(made_model(seed=1), models)
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.parametrize("name", ["staging", "versions"])
def test_a_file_in_place_of_a_folder_is_refused(models, name):
    (models / name).rename(models / "elsewhere")
    (models / name).touch()
    for change in (
        lambda: item2vec.publish(made_model(seed=1), models),
        lambda: versions.gc(models),
        lambda: versions.release(models),
    ):
        with pytest.raises(ConfigError, match=f"{name} is not a folder; move it elsewhere"):
            change()
    assert (models / name).is_file()


def test_a_models_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "models").touch()
    for path in (tmp_path / "models", tmp_path / "models" / "songs"):
        with pytest.raises(ConfigError, match="models is not a folder; move it elsewhere"):
            item2vec.publish(made_model(seed=1), path)


def test_a_link_in_staging_is_removed_and_not_followed(models, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (models / "staging" / "link").symlink_to(tmp_path / "precious")
    item2vec.publish(made_model(seed=1), models)
    assert (tmp_path / "precious" / "file").exists()
    assert litter(models) == []


def test_the_lock_is_exclusive_and_released_by_a_kill_even_if_child_processes_survive(models):
    hold = """
import subprocess, sys
from pathlib import Path
from item2vec.versions.locks import locked
with locked(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "input()"], close_fds=False)
    print("held", flush=True)
    child.wait()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(models)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockHeldError, match="LOCK is held by another run"):
            item2vec.publish(made_model(seed=1), models)
        assert served_seed(models) == 0
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert item2vec.publish(made_model(seed=1), models).generation == 2


def test_concurrent_publishes(models):
    results = []
    start = threading.Barrier(4)

    def publish():
        start.wait()
        try:
            results.append(item2vec.publish(made_model(seed=1), models))
        except LockHeldError as error:
            results.append(error)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = [result for result in results if isinstance(result, versions.Version)]
    assert len(results) == 4
    assert 1 <= len(published) == versions.served_version(models).generation - 1
    assert litter(models) == []


@pytest.mark.slow
def test_a_model_that_crashes_its_process_is_not_published(models, tmp_path):
    crash = "import os, sys\nif 'item2vec.versions.canary' in sys.orig_argv: os.kill(os.getpid(), 11)\n"
    (tmp_path / "sitecustomize.py").write_text(crash)
    code = """
import sys
import item2vec
from faults.made import made_model
from item2vec.errors import CorruptBundleError
sys.path.insert(0, sys.argv[2])
try:
    item2vec.publish(made_model(seed=1), sys.argv[1])
except CorruptBundleError as error:
    print(error)
"""
    assert "exit code -11" in run(code, models, tmp_path)
    assert served_seed(models) == 0
    assert litter(models) == []
    assert len(versions.list_versions(models)) == 1


def publish_while_read(models, n):
    """Publish ``n`` times and delete each replaced version while threads load; return the loaded seeds."""
    with loaded_meanwhile(models) as loaded:
        loaded.wait_for(0)
        for seed in range(1, n + 1):
            before = versions.served_version(models)
            item2vec.publish(made_model(seed=seed), models)
            shutil.rmtree(before.path)
            loaded.wait_for(seed)
    return loaded


def test_readers_load_only_complete_models(models):
    assert {0, 1, 2} <= set(publish_while_read(models, 3))


@pytest.mark.slow
def test_readers_load_only_complete_models_during_many_publishes(models):
    assert set(range(50)) <= set(publish_while_read(models, 50))
