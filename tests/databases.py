"""Fixtures for databases: SQLite files, and a temporary PostgreSQL cluster if it is installed."""

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

MEMORY = (
    "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
)  # short, because the length of a socket path is limited
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
NAMES = itertools.count()
KINDS = ["sqlite", "postgresql"]


def _program(name):
    found = shutil.which(name) or next((str(path / name) for path in reversed(PROGRAMS)), None)
    return found or _missing(f"PostgreSQL's {name}")


def _missing(what):
    """Skip the test, or fail it if REQUIRE_POSTGRESQL=1."""
    if os.environ.get("REQUIRE_POSTGRESQL") == "1":
        pytest.fail(f"{what} is not installed, and REQUIRE_POSTGRESQL=1 requires it", pytrace=False)
    pytest.skip(f"{what} is not installed: the store is tested on SQLite only")


def _unprivileged():
    """Return arguments that run a process as another user than root, as PostgreSQL requires."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in known else "nobody", "extra_groups": []}


@pytest.fixture(scope="session")
def cluster():
    """Run a PostgreSQL cluster; yield the folder of its socket. The superuser is ``postgres``."""
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
    """Yield a temporary folder in memory."""
    with tempfile.TemporaryDirectory(prefix="item2vec-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(params=KINDS)
def new_url(request):
    """Return a function that creates an empty database and returns the URL of the database."""
    return _maker(request)


@pytest.fixture(params=KINDS)
def other_url(request):
    """Return the URL of a second empty database, on SQLite and PostgreSQL in turn."""
    return _maker(request)()


def _maker(request):
    if request.param == "sqlite":
        folder = request.getfixturevalue("memory")
        return lambda: f"sqlite:///{folder}/store-{next(NAMES)}.db"
    cluster = request.getfixturevalue("cluster")
    return lambda: empty_schema(cluster)


def empty_schema(cluster):
    """Create a PostgreSQL schema for the store; creating a database would be much slower."""
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
    """Yield a store with a schema, on SQLite and PostgreSQL in turn."""
    with Store(url) as store:
        store.upgrade()
        yield store


@pytest.fixture
def engine(url):
    """Yield a second engine on the store's database."""
    engine = begin_as(make_engine(parse_url(url)), "write")
    yield engine
    engine.dispose()


@pytest.fixture
def sql(engine):
    """Return a function that runs a SQL statement without the store, and returns its rows."""

    def run(statement, **parameters):
        with engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else result.rowcount

    return run


def listens(*rows, **columns):
    """Return interactions of (user, item, timestamp) rows: ``listens(("ann", "x", 1), …)``."""
    user, item, timestamp = zip(*rows, strict=True) if rows else ((), (), ())
    return Interactions.of(user=user, item=item, timestamp=np.array(timestamp, dtype=np.int64), **columns)
