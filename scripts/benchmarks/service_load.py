"""Load on the HTTP service: latency at a constant rate, through promotions, and at four times the rate.

    scripts/benchmarks/service_load.py [--items N] [--users N] [--rate 200] [--seconds 60] [--json FILE]

A store and a models folder are made in a temporary folder. ``item2vec serve`` runs in its own process, on one
core. The client sends requests at fixed times, whether earlier ones are answered or not, each over its own
connection: recommendations for users of the store, every second one with a filter of half of the items.
During the first run, versions are promoted. Then the rate is multiplied by four: refused requests get status
503. At the end, SIGTERM is sent under load; every request that was sent before must be answered.
"""

import argparse
import asyncio
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import item2vec
from item2vec import Items, ItemVectors, Recommender, Vocabulary
from item2vec.interactions import Interactions
from item2vec.store import Store

SIZE = 64


def make(folder, n_items, n_users):
    """Write a store with histories of 30 items, and a models folder with one version."""
    random = np.random.default_rng(7)
    ids = tuple(f"item-{number}" for number in range(n_items))
    centres = random.normal(size=(200, SIZE))
    rows = (centres[random.integers(200, size=n_items)] + 0.6 * random.normal(size=(n_items, SIZE))).astype(
        "f4"
    )
    items = Items.of({id_: {"half": bool(number % 2)} for number, id_ in enumerate(ids)})
    vectors = ItemVectors(Vocabulary(ids), rows, None, np.ones(n_items))
    model = Recommender(vectors, items=items)
    with Store(f"sqlite:///{folder}/item2vec.db") as store:
        store.upgrade()
        user = np.repeat(np.arange(n_users), 30)
        store.ingest(
            Interactions.of(
                user=[f"u{number}" for number in user],
                item=[ids[number] for number in random.integers(n_items, size=len(user))],
                timestamp=1_700_000_000_000_000 + np.arange(len(user)) * 1_000_000,
            )
        )
        store.ingest_items(items)
    item2vec.publish(model, folder / "models")
    return model


async def request(port, user, filtered, answers):
    """Send one request; append the time to its answer in seconds, its status, and the version."""
    path = f"/v1/users/u{user}/recommendations?k=10" + ("&where=%7B%22half%22%3Atrue%7D" if filtered else "")
    started = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        status = int(answer.split(b" ", 2)[1])
    except (OSError, IndexError, ValueError, TimeoutError) as error:
        status = type(error).__name__
        answer = b""
    version = re.search(rb'"version":"([^"]+)"', answer)
    answers.append((time.perf_counter() - started, status, version and version[1].decode()))


async def load(port, rate, seconds, n_users, each_second=None, answers=None):
    """Send requests at a constant rate; call ``each_second`` in a thread once per second."""
    random = np.random.default_rng(1)
    answers = [] if answers is None else answers
    tasks, start = [], time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        if each_second is not None and number % rate == 0:
            tasks.append(asyncio.create_task(asyncio.to_thread(each_second, number // rate)))
        user = int(random.integers(n_users))
        tasks.append(asyncio.create_task(request(port, user, number % 2 == 0, answers)))
    await asyncio.gather(*tasks)
    return answers


def summary(answers):
    """Return counts of statuses, and percentiles of the time to the admitted answers in ms."""
    admitted = [seconds for seconds, status, _ in answers if status == 200]
    statuses = dict(collections.Counter(str(status) for _, status, _ in answers))
    p50, p99 = (np.percentile(admitted, [50, 99]) * 1e3).round(1).tolist() if admitted else (None, None)
    versions = len({version for _, _, version in answers if version})
    return {"statuses": statuses, "p50_ms": p50, "p99_ms": p99, "versions": versions}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=200, help="requests per second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--promotions", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make(folder, options.items, options.users)
        print("made the store and the model", flush=True)
        command = [sys.executable, "-m", "item2vec", "serve", "--port", "0"]
        pinned = ["taskset", "-c", "0", *command] if os.cpu_count() > 1 else command
        service = subprocess.Popen(pinned, cwd=folder, stdout=subprocess.PIPE, text=True)
        port = int(re.search(r":(\d+)\b", service.stdout.readline().partition("//")[2])[1])
        answers = []
        while not answers or answers[-1][1] != 200:
            answers = asyncio.run(load(port, 1, 1, options.users))
        gap = max(1, options.seconds // max(1, options.promotions))

        promoting = threading.Lock()

        def promote(second):
            if second % gap == gap - 1 and promoting.acquire(blocking=False):
                item2vec.publish(model, folder / "models")
                promoting.release()

        results = {"steady": summary(asyncio.run(load(port, options.rate, 10, options.users)))}
        print("steady", results["steady"], flush=True)
        promoted = load(port, options.rate, options.seconds, options.users, promote)
        results["promotions"] = summary(asyncio.run(promoted))
        print("promotions", results["promotions"], flush=True)
        results["overload"] = summary(asyncio.run(load(port, 4 * options.rate, 10, options.users)))
        print("overload", results["overload"], flush=True)
        results["recovered"] = summary(asyncio.run(load(port, options.rate, 5, options.users)))
        print("recovered", results["recovered"], flush=True)
        ending = []

        def stop(second):
            if second == 2:
                service.send_signal(signal.SIGTERM)

        asyncio.run(load(port, options.rate, 3, options.users, stop, ending))
        results["sigterm"] = summary(ending) | {"exit_code": service.wait(60)}
        print("sigterm", results["sigterm"], flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
