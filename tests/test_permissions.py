"""Every user can read published files, whatever the umask is; readers name a path that they may not read."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from faults.made import made_model
from users import NOBODY, as_nobody

import item2vec
from item2vec import versions
from item2vec.errors import CorruptBundleError, WriteError
from item2vec.versions.live import Live


@pytest.fixture
def umask():
    """Return a function that sets the umask until the end of the test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Return the modes of a folder and of everything in it, with relative paths."""
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in paths}


def publish_everything(models: Path) -> None:
    """Publish two versions, pin one, and roll back, so that the models folder has every kind of file."""
    first = item2vec.publish(made_model(seed=0), models)
    item2vec.publish(made_model(seed=1), models)
    versions.pin(models, first.id)
    versions.rollback(models, reason="a test")


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o022, 0o777, 0])
def test_modes_do_not_depend_on_the_umask(tmp_path, umask, mask):
    models = tmp_path / "new" / "models"
    if os.geteuid() != 0 and mask == 0o777:
        pytest.skip("only root can write into a folder of mode 0000")
    umask(mask)
    publish_everything(models)
    found = modes(models)
    assert found.pop("pins/" + next(path.name for path in (models / "pins").iterdir())) is not None
    assert {found.pop(name) for name in (".", "staging", "versions", "pins")} == {0o755}
    assert {found.pop(name) for name in ("CURRENT", "LOCK", "HOLD")} == {0o644}
    folders = {mode for name, mode in found.items() if re.fullmatch("versions/[^/]*", name)}
    files = {mode for name, mode in found.items() if re.fullmatch("versions/.*/.*", name)}
    assert (folders, files) == ({0o755}, {0o444})
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o755


def test_a_version_published_under_umask_077_is_loaded_by_another_user(outside, umask):
    umask(0o077)
    item2vec.publish(made_model(seed=0), outside / "models")
    id_ = as_nobody(lambda: load_with_lease(outside / "models"))
    assert id_ == f"{versions.served_version(outside / 'models').id} is leased"
    made_model(seed=0).save(outside / "bundle")
    assert as_nobody(lambda: versions.load(outside / "bundle").vectors).startswith("ItemVectors")


def load_with_lease(models: Path) -> str:
    version, model = versions.load_served(models)
    (row,) = versions.overview(models)
    return f"{version.id} is leased" if "leased" in row.states and len(model.vectors) else f"{row.states}"


def test_a_version_is_added_to_the_private_folder_of_an_earlier_release(outside, umask):
    models = outside / "models"
    item2vec.publish(made_model(seed=0), models)
    (models / "versions").chmod(0o700)
    (models / "LOCK").chmod(0o600)
    umask(0o077)
    item2vec.publish(made_model(seed=1), models)
    assert modes(models)["versions"] == 0o755
    assert modes(models)["LOCK"] == 0o644
    assert "leased" in as_nobody(lambda: versions.load(models) and "leased")


def test_the_mode_of_an_existing_models_folder_is_not_changed(tmp_path, umask):
    umask(0o077)
    models = tmp_path / "models"
    models.mkdir(mode=0o750)
    models.chmod(0o2750)
    item2vec.publish(made_model(seed=0), models)
    assert modes(models)["."] == 0o2750
    assert modes(models)["versions"] == 0o2755


@pytest.mark.parametrize("name", ["versions", "bundle", "input.npy", "manifest.json", "CURRENT"])
@pytest.mark.parametrize("ignored", [False, True])
def test_nothing_is_published_where_modes_cannot_be_set(tmp_path, umask, monkeypatch, name, ignored):
    umask(0o077)
    models, chmod = tmp_path / "models", Path.chmod

    def failing(path, mode, **options):
        if not path.name.lstrip(".").startswith(name):
            chmod(path, mode, **options)
        elif not ignored:
            raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", failing)
    reason = "the file system ignores modes" if ignored else "Operation not permitted"
    with pytest.raises(WriteError, match=rf"{name}.* could not be set to mode 0\d\d\d \({reason}\)"):
        item2vec.publish(made_model(seed=0), models)
    assert not (models / "CURRENT").exists()
    assert not [*(models / "staging").iterdir()] if (models / "staging").exists() else True
    monkeypatch.undo()
    item2vec.publish(made_model(seed=1), models)
    assert len(versions.list_versions(models)) == 1


PATHS = [
    ("", 0o700),
    ("CURRENT", 0o600),
    ("versions", 0o700),
    ("versions/ID", 0o700),
    ("versions/ID", 0o711),
    ("versions/ID/manifest.json", 0o400),
    ("versions/ID/input.npy", 0o400),
    ("versions/ID/ids.jsonl", 0o400),
]
READERS = {
    "load": versions.load,
    "load_served": versions.load_served,
    "verify": versions.verify,
    "Live": lambda models: Live(models, every=None),
    "list": lambda models: [versions.load(version.path) for version in versions.list_versions(models)],
    "pin": lambda models: versions.pin(models, versions.served_version(models).id),
}


@pytest.mark.parametrize(("name", "mode"), PATHS)
def test_readers_name_the_path_that_they_may_not_read_and_its_mode(outside, name, mode):
    models = outside / "models"
    version = item2vec.publish(made_model(seed=0), models)
    path = models / name.replace("ID", version.id)
    path.chmod(mode)
    expected = f"{path} has mode {mode:04o} and belongs to user 0, and this process runs as user {NOBODY}; as"

    def errors():
        texts = []
        for reader, read in READERS.items():
            try:
                read(models)
                texts.append(f"{reader}: no error")
            except (CorruptBundleError, WriteError) as error:
                texts.append(f"{reader}: {error}")
        return "\n".join(texts)

    lines = as_nobody(errors).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(READERS)
    unread = {"list"} if name == "CURRENT" else {"pin"} if name.startswith("versions/ID") else set()
    for line in lines:
        assert expected in line or line.partition(":")[0] in unread, line
        assert "rollback" not in line
    path.chmod(0o755)
    assert as_nobody(lambda: len(versions.load(models).vectors)) == str(len(made_model(seed=0).vectors))


def test_a_missing_or_unreadable_bundle_is_no_permission_error(tmp_path):
    models = tmp_path / "models"
    version = item2vec.publish(made_model(seed=0), models)
    (version.path / "input.npy").unlink()
    shutil.copytree(version.path, version.path / "input.npy")
    with pytest.raises(CorruptBundleError, match="has mode drwxr-xr-x; expected a regular file"):
        versions.load(models)
