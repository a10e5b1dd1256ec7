"""Conversion of interactions to sentences, with and without reading Parquet, against pandas (BENCHMARKS B3).

    scripts/benchmarks/prepare.py [--rows 10000000] [--repeats 3] [--json FILE]
    scripts/benchmarks/prepare.py --quoted [--rows 1000000]

The file is synthetic: a million users, 100,000 items with Zipf popularity, and timestamps of one year in
random order. Each measurement runs in its own process, so that peak memory (including reading) is separate.

With ``--quoted``, the script reads a CSV file with four quoted columns instead. The time is compared with the
time in which pyarrow reads the file and its table is converted to interactions.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import peers
import pyarrow.csv

from item2vec import adapters, readers

GAP_SECONDS = 30 * 60


def make(path, rows, seed):
    random = np.random.default_rng(seed)
    n_users = max(rows // 10, 1)
    item = np.minimum(random.zipf(1.3, rows), 100_000)
    timestamps = 1_700_000_000 + random.integers(0, 365 * 86_400, rows)
    frame = pd.DataFrame(
        {
            "user_id": pd.Series(random.integers(0, n_users, rows)).astype(str).radd("user"),
            "item_id": pd.Series(item).astype(str).radd("item"),
            "timestamp": pd.to_datetime(timestamps, unit="s", utc=True),
        }
    )
    frame.to_parquet(path)


def pandas_histories(frame):
    frame = frame.sort_values(["user_id", "timestamp"], kind="stable")
    return frame.groupby("user_id", sort=False)["item_id"].apply(list)


def pandas_sessions(frame):
    frame = frame.sort_values(["user_id", "timestamp"], kind="stable")
    pause = frame.groupby("user_id", sort=False)["timestamp"].diff().dt.total_seconds()
    session = (pause.isna() | (pause > GAP_SECONDS)).cumsum()
    return frame.groupby(session, sort=False)["item_id"].apply(list)


WORK = {
    "ours_histories": (readers.read_interactions, adapters.histories),
    "ours_sessions": (readers.read_interactions, adapters.sessions),
    "pandas_histories": (pd.read_parquet, pandas_histories),
    "pandas_sessions": (pd.read_parquet, pandas_sessions),
}


def measure(work, path):
    """Run one task in its own process; return its seconds, peak memory and number of sentences."""
    process = subprocess.run(
        [sys.executable, __file__, "--child", work, "--path", path],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(process.stdout)


def peak_kb():
    """Return the peak memory of this process in kB; ru_maxrss would include its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def child(work, path):
    read, adapt = WORK[work]
    before = peak_kb()
    tables, results = [], []
    reading = peers.seconds(lambda: tables.append(read(path)))
    adapting = peers.seconds(lambda: results.append(adapt(tables[0])))
    peak_mb = (peak_kb() - before) / 1024
    print(json.dumps({"read": reading, "adapt": adapting, "peak_mb": peak_mb, "sentences": len(results[0])}))


def quoted(rows, repeats):
    """Print the seconds for a quoted file, and the ratio of pyarrow's seconds to these."""
    random = np.random.default_rng(1)
    user, item = random.integers(0, 50_000, rows), np.minimum(random.zipf(1.3, rows), 100_000)
    time = 1_700_000_000 + random.integers(0, 365 * 86_400, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quoted.csv"
        with path.open("w") as file:
            file.write('"user_id","item_id","timestamp","title"\n')
            for u, i, t in zip(user.tolist(), item.tolist(), time.tolist(), strict=True):
                file.write(f'"user{u}","item{i}","{t}","Title, no. {i} ""live"""\n')
        ours, peer = peers.interleaved(
            lambda: readers.read_interactions(path),
            lambda: readers.read_interactions(pyarrow.csv.read_csv(path)),
            repeats,
        )
        reading, _ = peers.interleaved(lambda: pyarrow.csv.read_csv(path), lambda: None, repeats)
    middle, least, most = peers.ratio(peer, ours)
    seconds = [f"{statistics.median(times):.2f} s" for times in (ours, reading, peer)]
    print(f"{rows:,} quoted rows: {seconds[0]}; pyarrow's reading {seconds[1]}, with coding {seconds[2]};")
    print(f"ratio {middle:.2f} ({least:.2f}–{most:.2f})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quoted", action="store_true", help="measure a file of quoted text only")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.path)
        return
    if arguments.quoted:
        quoted(min(arguments.rows, 1_000_000), arguments.repeats)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/interactions.parquet"
        make(path, arguments.rows, arguments.seed)
        columns_mb = arguments.rows * (4 + 4 + 8) / 2**20
        print(f"{arguments.rows:,} rows; user, item and timestamp as codes: {columns_mb:,.0f} MB")
        print(
            f"{'work':<22}{'ours s':>8}{'pandas s':>10}{'ratio':>7}{'(least–most)':>16}{'MB':>7}{'pandas':>8}"
        )
        for kind in ("histories", "sessions"):
            measure(f"ours_{kind}", path)  # compiles the loops
            runs = [
                (measure(f"ours_{kind}", path), measure(f"pandas_{kind}", path))
                for _ in range(arguments.repeats)
            ]
            ours, theirs = zip(*runs, strict=True)
            assert ours[0]["sentences"] == theirs[0]["sentences"]
            memory = [statistics.median(run["peak_mb"] for run in side) for side in (ours, theirs)]
            for part, stages in (("", ("adapt",)), (", with reading", ("read", "adapt"))):
                times = [[sum(run[stage] for stage in stages) for run in side] for side in (ours, theirs)]
                medians = [statistics.median(side) for side in times]
                middle, least, most = peers.ratio(*times)
                rows.append(
                    {"work": kind + part, "ours_s": times[0], "pandas_s": times[1], "peak_mb": memory}
                )
                print(
                    f"{kind + part:<22}{medians[0]:>8.2f}{medians[1]:>10.1f}"
                    f"{middle:>7.1f}{f'({least:.1f}–{most:.1f})':>16}{memory[0]:>7,.0f}{memory[1]:>8,.0f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
