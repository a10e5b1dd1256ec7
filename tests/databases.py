"""Fixtures for databases: SQLite files, and a temporary PostgreSQL cluster if it is installed."""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
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
SLOW_ON_POSTGRESQL = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


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


class Server:
    """A PostgreSQL server with a socket in a temporary folder. The superuser is ``postgres``."""

    def __init__(self):
        self._initdb, self._pg_ctl = _program("initdb"), _program("pg_ctl")
        self.folder = tempfile.mkdtemp(prefix="item2vec-pg-", dir=MEMORY)
        self._user = _unprivileged()
        if "user" in self._user:
            shutil.chown(self.folder, self._user["user"])

    def _run(self, *command, check=True):
        options = {"cwd": self.folder, "stdout": subprocess.DEVNULL, **self._user}
        return subprocess.run(command, check=check, **options).returncode

    def create(self):
        self._run(self._initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")

    def start(self):
        """Start the server; after ``kill``, once its processes have released their memory."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        command = self._pg_ctl, "start", "-w", "-D", "data", "-l", "log", "-o", options
        for _ in range(100):
            if self._run(*command, check=False) == 0:
                return
            time.sleep(0.1)
        pytest.fail((Path(self.folder) / "log").read_text()[-2000:])

    def stop(self, mode="fast"):
        self._run(self._pg_ctl, "stop", "-m", mode, "-D", "data")

    @contextlib.contextmanager
    def outage(self, how):
        """Stop the server, or kill its main process, whose children then end; start it again at the end."""
        if how == "killed":
            os.kill(
                int((Path(self.folder) / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL
            )
        else:
            self.stop()
        try:
            yield
        finally:
            self.start()

    def program(self, name, *arguments):
        """Run a client program of PostgreSQL that connects to this server, and return its output."""
        command = [_program(name), "-h", self.folder, "-U", "postgres", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture(scope="session")
def server():
    """Run a PostgreSQL server, and yield it."""
    if importlib.util.find_spec("psycopg") is None:
        _missing("psycopg")
    server = Server()
    try:
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def cluster(server):
    """Return the folder of the socket of the PostgreSQL server."""
    return server.folder


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
def store(url, request):
    """Yield a store with a schema, on SQLite and PostgreSQL in turn."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).write_bytes(_migrated_file())
    else:
        _copy_migrated_schema(request.getfixturevalue("server"), url)
    with Store(url) as store:
        yield store


@cache
def _migrated_file():
    """Return the content of an empty SQLite store; migrating each store would be much slower."""
    with tempfile.TemporaryDirectory(prefix="item2vec-", dir=MEMORY) as folder:
        file = Path(folder) / "store.db"
        with Store(f"sqlite:///{file}") as store:
            store.upgrade()
        return file.read_bytes()


@cache
def _migrated_schema(server):
    """Return the name of a PostgreSQL schema of an empty store, and its dump as SQL statements."""
    url = empty_schema(server.folder)
    with Store(url) as store:
        store.upgrade()
    name = schema_of(url)
    dump = server.program("pg_dump", "--inserts", "--schema", name, "postgres").decode()
    statements = "\n".join(line for line in dump.splitlines() if not line.startswith("\\"))
    return name, statements.replace("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS")


def _copy_migrated_schema(server, url):
    name, statements = _migrated_schema(server)
    engine = create_engine(f"postgresql+psycopg://postgres@/postgres?host={server.folder}")
    with engine.begin() as connection:
        connection.exec_driver_sql(statements.replace(name, schema_of(url)))
    engine.dispose()


def schema_of(url):
    """Return the name of the PostgreSQL schema in a URL of ``empty_schema``."""
    return url.rpartition("%3D")[2]


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
