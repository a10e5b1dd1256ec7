"""Speed of ingesting new interactions, of ingesting them again, and of reading them.

Synthetic listens: the popularity of items follows Zipf's law, and the activity of users is more uniform. Each
database is measured in its own process, so that peak memory is separate. The peak includes the rows (16 bytes
each, and the ids).

    scripts/benchmarks/ingest.py --rows 1000000
"""

import argparse
import json
import os
import platform
import pwd
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from item2vec import Interactions, Vocabulary
from item2vec.durations import DAY
from item2vec.store import Store

N_USERS, N_ITEMS = 50_000, 20_000
FIRST, DAYS = 1_700_000_000_000_000, 90


def synthetic(n_rows):
    rng = np.random.default_rng(1)

    def drawn(n, exponent):
        weights = np.arange(1, n + 1) ** -exponent
        return rng.permutation(n)[rng.choice(n, n_rows, p=weights / weights.sum())].astype(np.int32)

    return Interactions(
        users=Vocabulary(tuple(f"user-{number}" for number in range(N_USERS))),
        items=Vocabulary(tuple(f"item-{number}" for number in range(N_ITEMS))),
        user=drawn(N_USERS, 0.6),
        item=drawn(N_ITEMS, 1.0),
        timestamp=np.sort(rng.integers(FIRST, FIRST + DAYS * DAY, n_rows)),
    )


@contextmanager
def cluster():
    """Run a temporary PostgreSQL server; yield its URL, or ``None`` if PostgreSQL is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    path = os.pathsep.join([os.environ["PATH"], *map(str, reversed(folders))])
    initdb, pg_ctl = shutil.which("initdb", path=path), shutil.which("pg_ctl", path=path)
    if initdb is None or pg_ctl is None:
        yield None
        return
    user = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = {"user": "postgres" if "postgres" in known else "nobody", "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="item2vec-pg-", dir="/tmp") as folder:
        if user:
            shutil.chown(folder, user["user"])

        def run(*command):
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **user)

        run(initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        run(pg_ctl, "start", "-w", "-D", "data", "-l", "log", "-o", f"-k {folder} -c listen_addresses=''")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            run(pg_ctl, "stop", "-m", "fast", "-D", "data")


def measure(url, n_rows):
    rows = synthetic(n_rows)
    seconds = {}
    with Store(url) as store:
        store.upgrade()
        for step, work in {
            "new": lambda: store.ingest(rows),
            "known": lambda: store.ingest(rows),
            "read": store.interactions,
        }.items():
            start = time.perf_counter()
            result = work()
            seconds[step] = time.perf_counter() - start
            n_new = {"new": n_rows, "known": 0}.get(step)
            if len(result) != n_rows if n_new is None else result.n_new != n_new:
                raise SystemExit(f"{url}: {step} returned {result}; expected an empty database at the start")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"database": url.split(":")[0].split("+")[0], "peak_mib": round(peak), **seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--store", action="append", help="URL of an empty database; may be repeated")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.rows)))
        return
    print(f"{arguments.rows:,} rows on {os.cpu_count()} processors, Python {platform.python_version()}")
    names = ("new rows/s", "known rows/s", "read rows/s", "peak MiB")
    print(f"{'database':10}", *(f"{name:>12}" for name in names), flush=True)
    with ExitStack() as stack:
        urls = arguments.store
        if not urls:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            urls = [f"sqlite:///{folder}/store.db", stack.enter_context(cluster())]
        for url in urls:
            if url is None:
                print("postgresql is not installed")
                continue
            command = [sys.executable, __file__, "--rows", str(arguments.rows), "--one", url]
            measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            rates = [round(arguments.rows / measured[step]) for step in ("new", "known", "read")]
            numbers = (f"{number:12,}" for number in (*rates, measured["peak_mib"]))
            print(f"{measured['database']:10}", *numbers, flush=True)


if __name__ == "__main__":
    main()
