"""A SQLite store can be read without write permission; otherwise, the error names the missing permission."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa
from faults.child import ENVIRONMENT
from nights import fill, made_listens
from users import NOBODY, as_nobody

from item2vec import files
from item2vec.errors import StoreError
from item2vec.store import Store, read_only

N = 32  # interactions of two users


@pytest.fixture
def folder(outside, monkeypatch):
    """A folder that every user may enter, and only this user may change, with a store."""
    scripts = shutil.copytree(files.shipped("alembic"), outside / "alembic")  # the checkout may be private
    monkeypatch.setattr("item2vec.store.schema.shipped", lambda _: scripts)
    folder = outside / "data"
    folder.mkdir(mode=0o755)
    fill(f"sqlite:///{folder}/item2vec.db", made_listens(2))
    return folder


def url_of(folder):
    return f"sqlite:///{folder}/item2vec.db"


def count(folder):
    with Store(url_of(folder)) as store:
        store.check_schema()
        return len(store.interactions()), len(store.history("u0").items)


def ingest(folder, n_users=3):
    with Store(url_of(folder)) as store:
        return store.ingest(made_listens(n_users)).n_new


def error_of(action, *arguments):
    try:
        return f"no error: {action(*arguments)}"
    except StoreError as error:
        return str(error)


def test_a_store_is_read_without_write_permission(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["item2vec.db"]
    assert as_nobody(lambda: count(folder)) == f"({N}, 16)"
    assert sorted(path.name for path in folder.iterdir()) == ["item2vec.db"]


def test_a_store_is_read_while_another_user_writes(folder):
    with Store(url_of(folder)) as writer:
        writer.ingest(made_listens(3))
        assert (folder / "item2vec.db-wal").stat().st_size > 0
        assert as_nobody(lambda: count(folder)) == f"({N + 16}, 16)"


@pytest.mark.parametrize(
    ("file", "beside", "missing"),
    [
        (
            0o644,
            0o755,
            "no write permission for FILE (mode 0644, owned by user 0) "
            "and FOLDER (mode 0755, owned by user 0)",
        ),
        (0o666, 0o755, "no write permission for FOLDER (mode 0755, owned by user 0)"),
        (0o644, 0o777, "no write permission for FILE (mode 0644, owned by user 0)"),
    ],
)
def test_a_refused_write_names_the_missing_permissions(folder, file, beside, missing):
    (folder / "item2vec.db").chmod(file)
    folder.chmod(beside)
    expected = missing.replace("FILE", str(folder / "item2vec.db")).replace("FOLDER", str(folder))
    assert as_nobody(lambda: count(folder)) == f"({N}, 16)"
    message = as_nobody(lambda: error_of(ingest, folder))
    assert message.startswith(f"{url_of(folder)} can only be read: user {NOBODY} has {expected};")
    with Store(url_of(folder)) as store:
        store._schema.downgrade("0003")
    assert "can only be read" in as_nobody(lambda: error_of(Store(url_of(folder)).upgrade))


@pytest.mark.parametrize(("file", "beside"), [(0o666, 0o777), (0o600, 0o755), (0o644, 0o700)])
def test_files_that_may_be_written_or_not_even_read(folder, file, beside):
    (folder / "item2vec.db").chmod(file)
    folder.chmod(beside)
    found = as_nobody(lambda: error_of(ingest, folder))
    closed, mode = (folder, beside) if beside == 0o700 else (folder / "item2vec.db", file)
    if file == 0o666:
        assert found == "no error: 16"
    else:
        assert f"{closed} has mode {mode:04o} and belongs to user 0, and this process runs as user" in found


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_changes_that_only_a_writer_can_apply_are_not_ignored(folder, suffix):
    copied = folder.with_name("copy")
    with Store(url_of(folder)) as writer:
        writer.ingest(made_listens(3))
        copied.mkdir(mode=0o755)
        shutil.copy(folder / "item2vec.db", copied)
        shutil.copy(folder / "item2vec.db-wal", copied / f"item2vec.db{suffix}")
    message = as_nobody(lambda: error_of(count, copied))
    assert message.startswith(f"{copied}/item2vec.db{suffix} contains ")
    expected = f"no write permission for {copied}/item2vec.db (mode 0644, owned by user 0) and"
    assert f"user {NOBODY} has {expected}" in message
    if suffix == "-wal":
        assert count(copied) == (N + 16, 16)
        assert as_nobody(lambda: count(copied)) == f"({N + 16}, 16)"


@pytest.mark.slow
def test_a_store_on_a_read_only_mount_is_read(folder):
    code = f"""
from pathlib import Path
from test_store_read_only import count, error_of, ingest
folder = Path("{folder}")
print(count(folder), error_of(ingest, folder))
"""
    mount = 'mount --bind $0 $0 && mount -o remount,ro,bind $0 && exec $1 -c "$2"'
    command = ["unshare", "-m", "sh", "-c", mount, str(folder), sys.executable, code]
    if not shutil.which("unshare") or subprocess.run([*command[:2], "true"], check=False).returncode:
        pytest.skip("this user may not mount")
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if "mount:" in run.stderr:
        pytest.skip("this user may not mount")
    expected = f"{folder}/item2vec.db is on a file system that is mounted read-only"
    assert run.stdout.startswith(f"({N}, 16) {url_of(folder)} can only be read: {expected}"), run.stderr


@pytest.fixture
def without_permission(monkeypatch):
    """A context manager in which connections are opened as if this user had no write permission."""
    missing, may_create = read_only._missing, read_only._may_create_beside

    @contextmanager
    def lacking(is_lacking=True):
        with monkeypatch.context() as patch:
            patch.setattr(read_only, "_missing", lambda path: "a test" if is_lacking else missing(path))
            patch.setattr(read_only, "_may_create_beside", lambda path: not is_lacking and may_create(path))
            yield

    return lacking


def test_a_reader_without_locks_sees_later_changes(folder, without_permission):
    with without_permission(), Store(url_of(folder)) as reader:
        for n_users in (2, 3, 4):
            with without_permission(False):
                ingest(folder, n_users)
            assert len(reader.interactions()) == 16 * n_users


def test_a_transaction_without_locks_is_repeated_if_the_store_was_changed(folder, without_permission):
    counts = []

    def work(connection):
        query = sa.text("SELECT count(*) FROM interaction")
        counts.append([connection.scalar(query)])
        if len(counts) == 1:
            with without_permission(False):
                ingest(folder)
        counts[-1].append(connection.scalar(query))
        return counts[-1]

    with without_permission(), Store(url_of(folder)) as reader:
        assert reader._run("read", work) == [N + 16, N + 16]
    assert len(counts) == 2


def test_a_store_of_another_journal_mode_is_read(folder):
    with closing(sqlite3.connect(folder / "item2vec.db")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    assert as_nobody(lambda: count(folder)) == f"({N}, 16)"
    assert count(folder) == (N, 16)
