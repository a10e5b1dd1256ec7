"""``recommend_all`` for many users: time and memory, with and without interruptions by SIGKILL.

    scripts/benchmarks/recommend_all.py [--users 200000] [--items 50000] [--size 64] [--k 50] [--kills 5]
                                        [--folder DIR] [--json FILE]

Vectors and histories are synthetic, as in batch_answers.py; the index is exact. A process writes the files of
all users without interruption. Then several processes that are killed at random times, and a last one that
finishes, write another folder. Both folders must have equal files, and every user once. Memory is the peak of
the process minus its memory before the call. The time of the killed runs includes starting and loading. An
existing uninterrupted run in ``--folder`` is used again.
"""

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from batch_answers import read_model, status, write_data

from item2vec import recommend_all


def work(folder, out, k):
    """Write the recommendations of all users, and print seconds and memory."""
    model, histories = read_model(folder)
    users = [f"user-{number}" for number in range(len(histories))]
    before, started = status("VmRSS"), time.perf_counter()
    print("started", flush=True)
    done = recommend_all(model, histories, users=users, k=k, out=out)
    seconds = time.perf_counter() - started
    facts = {"seconds": seconds, "mb": status("VmHWM") - before, "resumed": done.n_resumed}
    print(json.dumps({**facts, "rows": done.n_rows, "blocks": done.n_blocks}))


def start(folder, out, k):
    command = [sys.executable, __file__, "--work", out, "--folder", folder, "--k", k]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    return process


def whole(folder, out, k):
    with start(folder, out, k) as process:
        return json.loads(process.stdout.read())


def killed(folder, out, k, kills, seconds):
    """Kill ``kills`` processes at random times, each within a fifth of a whole run; then finish."""
    clock, found, started = random.Random(7), [], time.perf_counter()
    for _ in range(kills):
        waited = clock.uniform(0.02, 0.2) * seconds
        process = start(folder, out, k)
        time.sleep(waited)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        process.stdout.close()
        found.append(len(list(out.glob("part-*"))))
    return {**whole(folder, out, k), "seconds": time.perf_counter() - started, "files_at_kills": found}


def digests(out):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.glob("part-*"))}


def check(folders, arguments):
    """Compare the files of both runs, and count the rows of each user."""
    assert digests(folders[0]) == digests(folders[1]), "the files of the two runs differ"
    assert not list(folders[1].glob(".*.tmp")), "a partial file is left"
    n_items = np.zeros(arguments.users, dtype=np.int64)
    for file in sorted(folders[1].glob("part-*")):
        users = pq.read_table(file, columns=["user"]).to_pandas()["user"].str.slice(5).astype(int)
        n_items += np.bincount(users, minlength=arguments.users)
    assert (n_items == arguments.k).all(), "a user is missing or occurs twice"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.folder, arguments.work, arguments.k)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        undisturbed = folder / "undisturbed.json"
        if not undisturbed.exists():
            write_data(folder, arguments)
            undisturbed.write_text(json.dumps(whole(folder, folder / "undisturbed", arguments.k)))
        measured = {"undisturbed": json.loads(undisturbed.read_text())}
        seconds = measured["undisturbed"]["seconds"]
        measured["killed"] = killed(folder, folder / "killed", arguments.k, arguments.kills, seconds)
        check((folder / "undisturbed", folder / "killed"), arguments)
    print(f"{arguments.users:,} users, {arguments.items:,} × {arguments.size}, k={arguments.k}: equal files")
    for name, facts in measured.items():
        print(f"{name:<12}{facts['seconds']:>8.1f} s{facts['mb']:>8.0f} MB  {facts['rows']:,} rows", end="  ")
        print(f"{facts['resumed']} of {facts['blocks']} files kept", facts.get("files_at_kills", ""))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
