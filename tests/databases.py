"""Databases for tests: SQLite files, and a throw-away PostgreSQL cluster where its programs are found."""

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from item2vec import Interactions
from item2vec.store import Store
from item2vec.store.connect import begin_as, make_engine, parse_url

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"  # short, as a socket's path must be
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
NAMES = itertools.count()
KINDS = ["sqlite", "postgresql"]


def _program(name):
    found = shutil.which(name) or next((str(path / name) for path in reversed(PROGRAMS)), None)
    return found or _missing(f"PostgreSQL's {name}")


def _missing(what):
    """Skip, so that pytest's summary counts what has not run; where all must run, fail."""
    if os.environ.get("REQUIRE_POSTGRESQL") == "1":
        pytest.fail(f"{what} is not installed, and REQUIRE_POSTGRESQL=1 asks for it", pytrace=False)
    pytest.skip(f"{what} is not installed: this half of the store's tests has not run")


def _unprivileged():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in known else "nobody", "extra_groups": []}


@pytest.fixture(scope="session")
def cluster():
    """The folder of a running cluster's socket; its superuser is ``postgres``."""
    if importlib.util.find_spec("psycopg") is None:
        _missing("psycopg")
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    folder = tempfile.mkdtemp(prefix="item2vec-pg-", dir=MEMORY)
    user = _unprivileged()
    if "user" in user:
        shutil.chown(folder, user["user"])

    def run(*command):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **user)

    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    try:
        run(initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        run(pg_ctl, "start", "-w", "-D", "data", "-l", "log", "-o", options)
        try:
            yield folder
        finally:
            run(pg_ctl, "stop", "-m", "immediate", "-D", "data")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def memory():
    """A folder for files that need no disk."""
    with tempfile.TemporaryDirectory(prefix="item2vec-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(params=KINDS)
def new_url(request):
    """A function that makes an empty database and returns its URL."""
    return _maker(request)


@pytest.fixture(params=KINDS)
def other_url(request):
    """An empty database, of each kind for each kind of the first."""
    return _maker(request)()


def _maker(request):
    if request.param == "sqlite":
        folder = request.getfixturevalue("memory")
        return lambda: f"sqlite:///{folder}/store-{next(NAMES)}.db"
    cluster = request.getfixturevalue("cluster")
    return lambda: empty_schema(cluster)


def empty_schema(cluster):
    """To the store it is a database, and much quicker to make."""
    name = f"store_{next(NAMES)}"
    url = f"postgresql+psycopg://postgres@/postgres?host={cluster}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{url}&options=-csearch_path%3D{name}"


@pytest.fixture
def url(new_url):
    return new_url()


@pytest.fixture
def store(url):
    """A store with its schema, on each kind of database in turn."""
    with Store(url) as store:
        store.upgrade()
        yield store


@pytest.fixture
def engine(url):
    """An engine beside the store's."""
    engine = begin_as(make_engine(parse_url(url)), "write")
    yield engine
    engine.dispose()


@pytest.fixture
def sql(engine):
    """A function that runs one statement behind the store's back, and returns its rows."""

    def run(statement, **parameters):
        with engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else result.rowcount

    return run


def listens(*rows, **columns):
    """``listens(("ann", "x", 1), …)``: user, item, timestamp."""
    user, item, timestamp = zip(*rows, strict=True) if rows else ((), (), ())
    return Interactions.of(user=user, item=item, timestamp=np.array(timestamp, dtype=np.int64), **columns)
