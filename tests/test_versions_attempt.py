"""An attempt to publish either serves its version or leaves the models folder unchanged."""

import shutil
import subprocess
import sys

import pytest
from faults.child import ENVIRONMENT
from faults.made import made_model
from faults.operations import litter, served_seed

import item2vec
from item2vec import bundle, versions
from item2vec.errors import ConfigError, CorruptBundleError, LockHeldError, WriteError


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "models"
    item2vec.publish(made_model(seed=0), path)
    return path


@pytest.fixture
def models(published, tmp_path):
    """A models folder with one version, made from seed 0."""
    return shutil.copytree(published, tmp_path / "models")


def write(new, *, seed=1):
    (new.folder / "spool").write_text("events")
    bundle.write(made_model(seed=seed).parts, new.bundle_path)


def unchanged(models):
    return served_seed(models) == 0 and litter(models) == [] and len(versions.list_versions(models)) == 1


def test_a_committed_bundle_is_served_and_temporary_files_are_removed(models):
    before = versions.served_version(models)
    with versions.attempt(str(models), command="retrain") as new:
        assert new.before == before
        write(new)
        assert served_seed(models) == 0
        version = new.commit()
        assert served_seed(models) == 1
    assert versions.served_version(models) == version
    assert (version.id, version.previous) == (new.id, before.id)
    assert litter(models) == []


def test_the_first_attempt_has_no_version_before(tmp_path):
    with versions.attempt(tmp_path / "new" / "models") as new:
        assert new.before is None
    assert versions.list_versions(tmp_path / "new" / "models") == []


def test_an_uncommitted_bundle_is_not_served(models):
    with versions.attempt(models) as new:
        write(new)
    assert unchanged(models)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(OSError(28, "No space left on device"), WriteError), (ValueError("no"), ValueError)]
    + [(error, type(error)) for error in (KeyboardInterrupt(), SystemExit(), LockHeldError("no"))],
    ids=repr,
)
def test_no_files_remain_after_an_exception(models, raised, expected):
    def fail():
        with versions.attempt(models) as new:
            write(new)
            raise raised

    with pytest.raises(expected):
        fail()
    assert unchanged(models)


def test_an_error_after_the_commit_is_not_reported_as_a_failed_publish(models):
    def fail():
        with versions.attempt(models) as new:
            write(new)
            new.commit()
            raise TimeoutError("the log of runs")

    with pytest.raises(TimeoutError):
        fail()
    assert served_seed(models) == 1
    assert litter(models) == []


@pytest.mark.slow
@pytest.mark.usefixtures("canary_process")
@pytest.mark.parametrize("name", ["manifest.json", "counts.npy", "index"])
def test_a_bundle_damaged_on_the_disk_is_not_published(models, name):
    with versions.attempt(models) as new:
        write(new)
        path = new.bundle_path / name
        content = path.read_bytes() if path.exists() else b"!"
        path.unlink(missing_ok=True)
        path.write_bytes(content[:-1] + b"!")
        with pytest.raises(CorruptBundleError, match="nothing was published"):
            new.commit()
    assert unchanged(models)


def test_committing_without_a_bundle_is_refused(models):
    with versions.attempt(models) as new, pytest.raises(CorruptBundleError, match="cannot be read"):
        new.commit()
    assert unchanged(models)


def test_a_current_replaced_by_another_process_is_not_overwritten(models):
    content = (models / "CURRENT").read_bytes()
    item2vec.publish(made_model(seed=2), models)
    with versions.attempt(models) as new:
        write(new)
        (models / "CURRENT").write_bytes(content)
        with pytest.raises(LockHeldError, match="CURRENT was changed"):
            new.commit()
    assert served_seed(models) == 0
    assert litter(models) == []


def test_too_little_free_space_is_reported_before_the_block_runs(models):
    message = r"bytes of free space; expected at least 1,.*item2vec models gc"
    with pytest.raises(WriteError, match=message), versions.attempt(models, room=10**18):
        pytest.fail("the block ran")
    assert unchanged(models)


def test_a_bundle_is_refused_as_a_models_folder(models):
    with (
        pytest.raises(ConfigError, match="is a bundle"),
        versions.attempt(versions.served_version(models).path),
    ):
        pytest.fail("the block ran")


def test_the_lock_error_names_the_holder_and_how_to_end_it(models):
    hold = """
import sys
from item2vec import versions
with versions.attempt(sys.argv[1], command="retrain"):
    print("held", flush=True)
    input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(models)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        message = rf"process {holder.pid} on .*: item2vec retrain, since 20.*; .* end it: kill {holder.pid}$"
        with pytest.raises(LockHeldError, match=message):
            item2vec.publish(made_model(seed=1), models)
        holder.kill()
        holder.wait()
    (models / "LOCK").write_bytes(b"\xff" * 1000)
    with versions.attempt(models):
        with pytest.raises(LockHeldError, match=r"a call in this process; wait until that call ends$"):
            versions.gc(models)
        (models / "LOCK").write_bytes(b"\xff" * 1000)
        with pytest.raises(
            LockHeldError, match="held by another run; run the command again after that run has ended"
        ):
            versions.gc(models)
    assert unchanged(models)
