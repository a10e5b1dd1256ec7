"""Spark on one machine: its corpora compared with those of other drivers; recommendations after SIGKILL.

    scripts/benchmarks/on_spark.py prepare --data DIR [--events 1e6] [--shards 32]
    scripts/benchmarks/on_spark.py answers --data DIR [--users 1e6] [--items 1e5] [--shards 32] [--kills 3]
    scripts/benchmarks/on_spark.py executors --data DIR [--users 1e5]

``prepare`` writes random events as Parquet, and prepares them in memory, with DuckDB if it is installed, and
with Spark on ``local-cluster[2,1,1024]``, whose two executors are separate processes. The script compares
the manifests, which have the checksums of all files, and each sentence.

``answers`` writes a corpus of random histories and a model of random vectors, and runs ``item2vec recommend
--all --corpus``. The command is killed by SIGKILL several times and started again. Each user must occur once
in its output.

``executors`` computes recommendations for some of these users on Spark executors, and compares them with the
files of ``answers``.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from item2vec import (
    Interactions,
    ItemVectors,
    Recommender,
    Sentences,
    Vocabulary,
    adapters,
    publish,
    readers,
)
from item2vec import spark as cluster
from item2vec.config import AdapterConfig

ADAPTER = AdapterConfig(min_item_count=2, max_length=200)


SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "1g",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "4",  # the default, 200, is for clusters
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def session():
    """Return a session of two executors, which listen on this machine only."""
    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    from pyspark.sql import SparkSession

    return SparkSession.builder.master("local-cluster[2,1,1024]").config(map=SETTINGS).getOrCreate()


def events(n: int) -> pa.Table:
    """Return events of n / 20 users; items follow Zipf's law, and times repeat."""
    random = np.random.default_rng(1)
    users = [f"user-{number}" for number in random.integers(0, n // 20, n)]
    items = [f"item-{number}" for number in np.minimum(random.zipf(1.3, n), n // 10)]
    times = (
        random.integers(1_700_000_000, 1_700_000_000 + 10**6, n)
        .astype("datetime64[s]")
        .astype("datetime64[us]")
    )
    return pa.table({"user_id": users, "item_id": items, "timestamp": times})


def prepare(folder: Path, n: int, shards: int) -> None:
    source = folder / "events.parquet"
    pq.write_table(events(n), source)
    corpora = {}

    def timed(name, write):
        start = time.perf_counter()
        write(folder / name)
        corpora[name] = folder / name
        print(f"{name:<8} {time.perf_counter() - start:6.1f} s", flush=True)

    def in_memory(out):
        adapters.save_shards(readers.read_interactions(source), ADAPTER, out, shards=shards)

    timed("memory", in_memory)
    try:
        from item2vec import corpus
    except ImportError:
        print("duckdb   is not installed")
    else:
        timed("duckdb", lambda out: corpus.prepare(source, out=out, shards=shards, adapter=ADAPTER))
    spark = session()
    df = spark.read.parquet(str(source))
    timed("spark", lambda out: cluster.prepare(df, out=out, shards=shards, adapter=ADAPTER))
    spark.stop()
    whole, *others = (Sentences.open(path) for path in corpora.values())
    for name, other in zip(list(corpora)[1:], others, strict=True):
        same = sum(a == b for a, b in zip(whole, other, strict=True))
        files = [json.loads((corpora[each] / "corpus.json").read_text()) for each in ("memory", name)]
        print(
            f"{name}: {same:,} of {len(whole):,} sentences are equal, same checksums: {files[0] == files[1]}"
        )


def corpus_of(folder: Path, n_users: int, n_items: int, shards: int) -> None:
    """Write histories of 1 to 20 items, and a model of random vectors of 32 dimensions."""
    random = np.random.default_rng(2)
    items = Vocabulary(tuple(f"i{number}" for number in range(n_items)))
    lengths = random.integers(1, 21, n_users)
    users = Vocabulary(tuple(f"u{number}" for number in range(n_users)))
    chosen = random.integers(0, n_items, lengths.sum(), dtype=np.int32)
    histories = Interactions(users, items, np.repeat(np.arange(n_users, dtype=np.int32), lengths), chosen)
    adapters.save_shards(histories, AdapterConfig(), folder / "corpus", shards=shards)
    vectors = ItemVectors(items, random.normal(size=(n_items, 32)), None, np.ones(n_items))
    publish(Recommender(vectors, decay=0.9), folder / "models")


def answers(folder: Path, n_users: int, n_items: int, shards: int, kills: int) -> None:
    corpus_of(folder, n_users, n_items, shards)
    command = [
        sys.executable,
        "-m",
        "item2vec",
        "recommend",
        "--all",
        "--models",
        str(folder / "models"),
        "-k",
        "10",
    ]
    command += ["--corpus", str(folder / "corpus"), "--out", str(folder / "answers"), "--json"]
    start = time.perf_counter()
    for kill in range(1, kills + 1):
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while worker.poll() is None and n_files(folder) < kill * shards // (kills + 1):
            time.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        print(f"killed with {n_files(folder)} of {shards} files", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    print(done.stdout.decode().strip(), f"{time.perf_counter() - start:.0f} s with {kills} kills", sep="\n")
    found = pq.read_table(folder / "answers", columns=["user", "rank"])
    first = found.filter(pc.equal(found["rank"], 1))["user"]
    expected = {user for users in Sentences.open(folder / "corpus").users for user in users}
    print(
        f"{n_users:,} users: {len(first) - len(first.unique()):,} occur twice, "
        f"{len(expected - set(first.to_pylist())):,} are missing; {found.num_rows:,} rows"
    )


def n_files(folder: Path) -> int:
    return len(list((folder / "answers").glob("part-*")))


def executors(folder: Path, n_users: int) -> None:
    """Compare the recommendations for the users of the first shards."""
    corpus, rows = Sentences.open(folder / "corpus"), []
    for users, shard in zip(corpus.users, corpus.shards, strict=True):
        rows += zip(users, shard, strict=True)
        if len(rows) >= n_users:
            break
    spark = session()
    names = ("user_id", "item_id")
    df = spark.createDataFrame(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))))
    start = time.perf_counter()
    found = cluster.recommend(df, model=folder / "models", timestamp=None).toArrow()
    print(f"{len(rows):,} users on two executors: {time.perf_counter() - start:.1f} s")
    spark.stop()
    order = [("user", "ascending"), ("rank", "ascending")]
    whole = pq.read_table(folder / "answers")
    whole = whole.filter(pc.is_in(whole["user"], pa.array([user for user, _ in rows])))
    same = found.sort_by(order).equals(whole.sort_by(order).cast(found.schema))
    print(f"{found.num_rows:,} rows are equal: {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=["prepare", "answers", "executors"])
    parser.add_argument("--data", type=Path, required=True, help="folder of the files; it is created")
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--users", type=float, default=1e6)
    parser.add_argument("--items", type=float, default=1e5)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--kills", type=int, default=3)
    a = parser.parse_args()
    a.data.mkdir(parents=True, exist_ok=True)
    if a.command == "prepare":
        prepare(a.data, int(a.events), a.shards)
    elif a.command == "answers":
        answers(a.data, int(a.users), int(a.items), a.shards, a.kills)
    else:
        executors(a.data, int(a.users))


if __name__ == "__main__":
    main()
