"""Rollbacks and holds: an earlier version is served again, and the replaced model stays on hold."""

import shutil
import signal
from datetime import UTC, datetime

import pytest
from faults.made import made_model
from faults.operations import kill, litter, outcome, served_seed, without_canary

import item2vec
from item2vec import versions
from item2vec.errors import (
    BundleNotFoundError,
    ConfigError,
    CorruptBundleError,
    GateRefusedError,
    InputError,
    LockHeldError,
    WriteError,
)
from item2vec.versions import rollbacks
from item2vec.versions.locks import locked

NOW = datetime(2024, 2, 29, 3, tzinfo=UTC)
NEVER = 10**6
"""The number of an operation that is not reached."""


@pytest.fixture
def _quick(monkeypatch, tmp_path):
    (tmp_path / "quick").mkdir()
    monkeypatch.syspath_prepend(without_canary(tmp_path / "quick"))


quick = pytest.mark.usefixtures("_quick")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "models"
    for seed in range(3):
        item2vec.publish(made_model(seed=seed), path)
    return path


@pytest.fixture
def models(published, tmp_path):
    """A models folder with three versions, made from the seeds 0, 1 and 2; the last one is served."""
    return shutil.copytree(published, tmp_path / "models")


def ids(models):
    return [version.id for version in versions.list_versions(models)]


def damage(path):
    path.chmod(0o644)
    path.write_bytes(b"\0" + path.read_bytes()[1:])


def test_repeated_rollbacks_serve_ever_older_versions(models):
    version_ids = ids(models)
    back = versions.rollback(models, reason="jazz", now=NOW)
    assert (back.id, back.generation, back.previous) == (version_ids[1], 4, version_ids[2])
    assert versions.served_version(models) == back
    assert served_seed(models) == 1
    hold = versions.held(models)
    assert (hold.version, hold.to, hold.reason, hold.at) == (version_ids[2], version_ids[1], "jazz", NOW)
    again = versions.rollback(str(models), reason="more jazz")
    assert (again.id, again.generation, again.previous) == (version_ids[0], 5, version_ids[1])
    assert served_seed(models) == 0
    with pytest.raises(BundleNotFoundError, match=f"no version older than {version_ids[0]}.*to="):
        versions.rollback(models, reason="still more")
    assert ids(models) == version_ids
    assert litter(models) == []


@quick
def test_generations_and_ids_are_never_reused(models):
    version_ids = ids(models)
    versions.rollback(models, to=version_ids[0], reason="jazz")
    newer = item2vec.publish(made_model(seed=3), models)
    assert (newer.generation, newer.previous) == (5, version_ids[0])
    assert newer.id.startswith("g0000000005-")
    assert versions.rollback(models, reason="jazz").id == version_ids[0]


@quick
def test_a_specified_version_may_be_older_or_newer(models):
    version_ids = ids(models)
    versions.rollback(models, to=version_ids[0], reason="jazz")
    assert served_seed(models) == 0
    versions.rollback(models, to=version_ids[2], reason="it was not that")
    assert served_seed(models) == 2


@pytest.mark.parametrize(
    ("to", "reason", "error", "message"),
    [
        (2, "jazz", ConfigError, "already serves g0000000003-.*item2vec models list --models /"),
        (0, " ", ConfigError, "expected 1 to 1,000"),
        (0, "x" * 1001, ConfigError, "1,001 bytes"),
        (0, "\ud800", ConfigError, "UTF-8"),
        (
            "g0000000009-00000000",
            "jazz",
            BundleNotFoundError,
            "no version .*; list the versions: item2vec models list --models /",
        ),
        ("../versions", "jazz", BundleNotFoundError, "no version"),
        ("", "jazz", BundleNotFoundError, "no version"),
    ],
    ids=str,
)
def test_an_invalid_rollback_changes_nothing(models, to, reason, error, message):
    to = ids(models)[to] if isinstance(to, int) else to
    with pytest.raises(error, match=message):
        versions.rollback(models, to=to, reason=reason)
    assert served_seed(models) == 2
    assert versions.held(models) is None


def test_a_time_without_a_time_zone_is_refused(models):
    with pytest.raises(InputError, match="time zone"):
        versions.rollback(models, reason="jazz", now=datetime(2024, 2, 29))
    assert versions.held(models) is None


def test_a_damaged_version_is_refused_and_sound_ones_are_listed(models):
    first, second, third = ids(models)
    damage(models / "versions" / second / "input.npy")
    with pytest.raises(
        CorruptBundleError,
        match=f"{second} cannot be served .versions that can be served: {first}.*npy is damaged",
    ):
        versions.rollback(models, reason="jazz")
    damage(models / "versions" / first / "manifest.json")
    with pytest.raises(
        CorruptBundleError, match=r"no other version can be served; publish.*manifest.json is not strict JSON"
    ):
        versions.rollback(models, reason="jazz", to=first)
    assert versions.served_version(models).id == third
    assert versions.held(models) is None


@quick
def test_a_version_that_is_a_link_is_refused(models, tmp_path):
    second = models / "versions" / ids(models)[1]
    second.rename(tmp_path / "elsewhere")
    second.symlink_to(tmp_path / "elsewhere")
    for call in (
        lambda: versions.rollback(models, reason="jazz"),
        lambda: versions.verify(models, second.name),
    ):
        with pytest.raises(CorruptBundleError, match="symbolic link"):
            call()
    assert served_seed(models) == 2


@quick
def test_a_damaged_served_version_can_be_rolled_back(models):
    damage(versions.served_version(models).path / "manifest.json")
    versions.rollback(models, reason="it is damaged")
    assert served_seed(models) == 1
    assert versions.held(models).artefacts == ()


@quick
def test_rollback_recreates_a_lost_current(models, canary_process):
    version_ids = ids(models)
    (models / "CURRENT").write_bytes(b"{")
    with pytest.raises(
        CorruptBundleError,
        match=r"remove .*CURRENT, then run: item2vec models rollback --to ID --reason TEXT --models /",
    ):
        versions.rollback(models, to=version_ids[0], reason="lost")
    (models / "CURRENT").unlink()
    with pytest.raises(BundleNotFoundError, match="--to ID --reason TEXT --models /"):
        versions.rollback(models, reason="lost")
    back = versions.rollback(models, to=version_ids[1], reason="lost")
    assert (back.generation, back.previous, served_seed(models)) == (4, None, 1)
    assert versions.held(models) is None


@quick
def test_a_model_rolled_back_from_cannot_be_published_until_release(models):
    versions.rollback(models, reason="too much jazz")
    with pytest.raises(GateRefusedError, match=r"too much jazz.*item2vec models release"):
        item2vec.publish(made_model(seed=2), models, note={"another": "night"})
    assert served_seed(models) == 1
    assert litter(models) == []
    versions.rollback(models, reason="blues")
    for seed in (1, 2):
        with pytest.raises(GateRefusedError, match="blues"):
            item2vec.publish(made_model(seed=seed), models)
    assert versions.release(models).reason == "blues"
    assert versions.held(models) is None
    assert item2vec.publish(made_model(seed=2), models).generation == 6


@quick
def test_other_models_are_published_during_a_hold_and_do_not_end_it(models):
    versions.rollback(models, reason="jazz")
    item2vec.publish(made_model(seed=5), models)
    assert served_seed(models) == 5
    assert versions.held(models).reason == "jazz"


@quick
def test_a_rollback_to_a_held_model_ends_its_hold(models):
    version_ids = ids(models)
    versions.rollback(models, reason="jazz")
    versions.rollback(models, to=version_ids[2], reason="it was not that")
    assert item2vec.publish(made_model(seed=2), models).generation == 6


@quick
def test_a_damaged_hold_is_an_error_and_not_the_absence_of_one(models):
    versions.rollback(models, reason="jazz")
    whole = (models / "HOLD").read_bytes()
    for content in (whole[:-1], b"", b"{}", whole.replace(b"jazz", b"funk"), b'{"format": 1}'):
        (models / "HOLD").write_bytes(content)
        for call in (
            versions.held,
            versions.release,
            lambda path: item2vec.publish(made_model(seed=5), path),
        ):
            with pytest.raises(CorruptBundleError, match=r"HOLD.*remove .*HOLD"):
                call(models)
    assert served_seed(models) == 1
    versions.rollback(models, reason="blues")
    assert versions.held(models).reason == "blues"


@quick
@pytest.mark.parametrize("name", ["CURRENT", "HOLD", "versions/{}/manifest.json"])
def test_a_repeated_key_in_a_state_file_is_an_error(models, name):
    versions.rollback(models, reason="jazz")
    path = models / name.format(versions.served_version(models).id)
    whole = path.read_bytes()
    first = whole.index(b'"format"')
    path.chmod(0o644)
    path.write_bytes(whole[:first] + b'"format": 1,\n ' + whole[first:])
    with pytest.raises(CorruptBundleError, match=r"key 'format' occurs twice"):
        versions.held(models) if name == "HOLD" else item2vec.load(models)


def test_release_without_a_hold(models):
    assert versions.release(models) is None


def test_all_changes_take_the_same_lock(models):
    with locked(models, "retrain"):
        for change in (
            lambda: versions.rollback(models, reason="jazz"),
            lambda: versions.release(models),
            lambda: versions.gc(models),
            lambda: item2vec.publish(made_model(), models),
        ):
            with pytest.raises(
                LockHeldError, match=r"process \d+ on .*: item2vec retrain, since .*in this process"
            ):
                change()
    assert (models / "LOCK").read_text() == ""


@quick
@pytest.mark.parametrize("cannot", ["write", "lock"])
def test_a_failed_rollback_leaves_no_new_hold(models, cannot, monkeypatch):
    """The disk fails, or a process without the lock replaces ``CURRENT`` meanwhile."""
    version_ids = ids(models)
    content = (models / "CURRENT").read_bytes()
    item2vec.publish(made_model(seed=3), models)
    write_hold = rollbacks.write_hold

    def replaced(models, hold):
        write_hold(models, hold)
        (models / "CURRENT").write_bytes(content)

    def failed(models, version):
        raise OSError("a disk failed")

    if cannot == "write":
        monkeypatch.setattr(rollbacks, "point_to", failed)
    else:
        monkeypatch.setattr(rollbacks, "write_hold", replaced)
    with pytest.raises(
        (WriteError, LockHeldError), match=r"\(a disk failed\); the served|changed by a process without"
    ):
        versions.rollback(models, to=version_ids[0], reason="jazz")
    assert versions.held(models) is None
    assert versions.served_version(models).generation == {"write": 4, "lock": 3}[cannot]


@quick
@pytest.mark.parametrize("earlier", [None, "jazz"])
def test_a_rollback_killed_before_it_takes_effect_leaves_no_hold(models, earlier, monkeypatch, caplog):
    if earlier:
        versions.rollback(models, reason=earlier)
    before = versions.served_version(models)
    monkeypatch.setattr(rollbacks, "point_to", lambda *_: kill())
    assert outcome(lambda: versions.rollback(models, reason="blues"), NEVER, kill) == -signal.SIGKILL
    assert versions.served_version(models) == before
    for _ in range(2):
        hold = versions.held(models)
        assert (hold and hold.reason) == earlier
        item2vec.publish(made_model(seed=5), models, during_hold=earlier is not None)
        assert litter(models) == []
    assert caplog.text.count("an interrupted rollback had no effect") == 1


@quick
def test_a_rollback_killed_after_it_takes_effect_has_its_hold(models, monkeypatch):
    monkeypatch.setattr(rollbacks, "settle_hold", lambda _: kill())
    assert outcome(lambda: versions.rollback(models, reason="blues"), NEVER, kill) == -signal.SIGKILL
    assert (served_seed(models), versions.held(models).reason) == (1, "blues")
    with pytest.raises(GateRefusedError, match="blues"):
        item2vec.publish(made_model(seed=2), models)
    assert litter(models) == []
    assert versions.release(models).reason == "blues"
    assert versions.held(models) is None


def test_folders_without_a_published_version(tmp_path):
    for change in (
        lambda: versions.rollback(tmp_path / "none", reason="jazz"),
        lambda: versions.release(tmp_path / "none"),
        lambda: versions.gc(tmp_path / "none"),
    ):
        with pytest.raises(BundleNotFoundError, match="item2vec train"):
            change()
    assert not (tmp_path / "none").exists()
