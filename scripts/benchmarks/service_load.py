"""Load on the HTTP service: constant rate, promotions and rollbacks, a store outage, overload, SIGTERM.

    scripts/benchmarks/service_load.py [--all | PHASE ...] [--items N] [--rate 200] [--seconds 60]

``item2vec serve`` runs in its own process on core 0, and the client on the other cores. The client sends
requests at fixed times, even if earlier requests have not been answered, and opens a connection for each. The
requests are for recommendations of users of an SQLite store; every second request has a filter that half of
the items pass.

- ``steady``: the constant rate for a third of ``--seconds``.
- ``switches``: the same rate, while another process publishes two models in turn, 20 times, and rolls back
  five times; for at least ``--seconds``. A sample of the answers is compared with the answers of the named
  version.
- ``overload``: four times the rate for 10 s; the service refuses requests with 429 or 503. ``recovered``: the
  constant rate after the overload.
- ``outage``: a second service, on PostgreSQL, which is stopped and started again; every second request has a
  history in place of a user.
- ``sigterm``: the process receives SIGTERM under load. All requests that it accepted must be answered.

The exit code is 1 if a request failed that must not fail, or if an answer differs from the answer of its
version.
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
from typing import NamedTuple

import numpy as np

import item2vec
from item2vec import Engine, Items, ItemVectors, Recommender, Vocabulary
from item2vec.interactions import Interactions
from item2vec.store import Store
from item2vec.versions import load, release, rollback, served_version

ROOT = Path(__file__).parent.parent.parent
PHASES = ("steady", "switches", "overload", "recovered", "outage", "sigterm")
SIZE = 64
SAMPLED = 20
WHERE = "&where=%7B%22half%22%3Atrue%7D"
COLUMNS = ["sent", "200", "429/503", "refused", "lost", "p50,ms", "p99,ms", "max,ms", "CPU,ms"]
COLUMNS += ["versions", "mixed", "degraded", "lag,ms"]


class Answer(NamedTuple):
    """An answer: start in the phase, latency and lag behind the due time (s), status or error, and JSON."""

    user: int
    kind: str
    at: float
    seconds: float
    lag: float
    status: int | str
    body: dict


def make_model(ids, items, seed):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(200, SIZE))
    noise = 0.6 * random.normal(size=(len(ids), SIZE))
    rows = (centres[random.integers(200, size=len(ids))] + noise).astype("f4")
    return Recommender(ItemVectors(Vocabulary(ids), rows, None, np.ones(len(ids))), items=items)


def make(folder, n_items, n_users):
    """Write a store with histories of 30 items, and two models, the first of which is published."""
    ids = tuple(f"item-{number}" for number in range(n_items))
    items = Items.of({id_: {"half": bool(number % 2)} for number, id_ in enumerate(ids)})
    fill(f"sqlite:///{folder}/item2vec.db", ids, items, n_users)
    for seed in (0, 1):
        make_model(ids, items, seed).save(folder / f"model-{seed}")
    item2vec.publish(load(folder / "model-0"), folder / "models")
    return ids, items


def fill(url, ids, items, n_users):
    random = np.random.default_rng(7)
    user = np.repeat(np.arange(n_users), 30)
    with Store(url) as store:
        store.upgrade()
        store.ingest(
            Interactions.of(
                user=[f"u{number}" for number in user],
                item=[ids[number] for number in random.integers(len(ids), size=len(user))],
                timestamp=1_700_000_000_000_000 + np.arange(len(user)) * 1_000_000,
            )
        )
        store.ingest_items(items)


def switch(folder, promotions, rollbacks):
    """Publish the two models in turn, with rollbacks in between; write the model of each version."""
    models = [load(folder / f"model-{seed}") for seed in (0, 1)]
    model_of = {served_version(folder / "models").id: 0}
    every = max(1, promotions // max(1, rollbacks))
    for number in range(1, promotions + 1):
        version = item2vec.publish(models[number % 2], folder / "models")
        model_of[version.id] = number % 2
        (folder / "model_of.json").write_text(json.dumps(model_of))
        time.sleep(0.5)
        if rollbacks and number % every == 0:
            rollback(folder / "models", reason="load test")
            release(folder / "models")
            time.sleep(0.5)


class Service:
    """``item2vec serve`` on one core; ``usage`` is its processor time in seconds."""

    def __init__(self, folder, *arguments):
        command = [sys.executable, "-m", "item2vec", "serve", "--port", "0", "--reload-every", "0.5"]
        pinned = ["taskset", "-c", "0"] if os.cpu_count() > 1 else []
        with (folder / "service.log").open("a") as log:
            self.process = subprocess.Popen(
                [*pinned, *command, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.port = int(re.search(r":(\d+)\b", self.process.stdout.readline().partition("//")[2])[1])
        while not all(answer.status == 200 for answer in asyncio.run(send(self.port, 5, 1, 10))):
            time.sleep(0.2)

    @property
    def usage(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


async def request(port, user, kind, begun, due, answers):
    """Send one request, and append its answer."""
    path, body = f"/v1/users/u{user}/recommendations?k=10" + (WHERE if kind == "where" else ""), b""
    method = "GET"
    if kind == "history":
        method, path = "POST", "/v1/recommendations"
        body = json.dumps({"history": [f"item-{user}", f"item-{user + 1}"], "k": 10}).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n" if body else "\r\n"
    started, answer, parsed = time.perf_counter(), b"", {}
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        status = int(answer.split(b" ", 2)[1])
        parsed = json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, IndexError, ValueError, TimeoutError) as error:
        status = type(error).__name__
    seconds = time.perf_counter() - started
    answers.append(Answer(user, kind, started - begun, seconds, started - due, status, parsed))


async def send(port, rate, seconds, n_users, *, kinds=("plain", "where"), until=None):
    """Send requests at a constant rate for a number of seconds, and then until ``until()`` is true."""
    random, answers, tasks, number = np.random.default_rng(1), [], [], 0
    begun = time.perf_counter()
    while number < rate * seconds or (until is not None and not until()):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        user, kind = int(random.integers(n_users)), kinds[number % len(kinds)]
        tasks.append(asyncio.create_task(request(port, user, kind, begun, due, answers)))
        number += 1
    await asyncio.gather(*tasks)
    return answers


def summary(answers, used, **more):
    """Return the row of a phase: counts, milliseconds until admitted answers, and CPU time per request."""
    statuses = collections.Counter(answer.status for answer in answers)
    admitted = [answer.seconds * 1e3 for answer in answers if answer.status == 200] or [float("nan")]
    busy = sum(statuses[status] for status in (429, 503))
    refused = statuses["ConnectionRefusedError"]
    return {
        "sent": len(answers),
        "200": statuses[200],
        "429/503": busy,
        "refused": refused,
        "lost": len(answers) - statuses[200] - busy - refused,
        "p50,ms": round(float(np.percentile(admitted, 50)), 1),
        "p99,ms": round(float(np.percentile(admitted, 99)), 1),
        "max,ms": round(max(admitted)),
        "CPU,ms": round(used * 1e3 / len(answers), 2),
        "versions": len({answer.body.get("version") for answer in answers if answer.status == 200}),
        "mixed": 0,
        "degraded": sum("degraded" in answer.body for answer in answers),
        "lag,ms": round(float(np.percentile([answer.lag for answer in answers], 99)) * 1e3, 1),
        "statuses": {str(status): count for status, count in statuses.items()},
        **more,
    }


def mixed(answers, folder, url):
    """Return the number of sampled answers that differ from the answers of the version that they name."""
    model_of = json.loads((folder / "model_of.json").read_text())
    wrong = 0
    with Engine(models=folder / "models", store=url, reload_every=None) as engine:
        views = [engine.view_of(load(folder / f"model-{seed}"), None) for seed in (0, 1)]
        for answer in [answer for answer in answers if answer.status == 200][::SAMPLED]:
            where = {"half": True} if answer.kind == "where" else {}
            view = views[model_of[answer.body["version"]]]
            expected = [found.item for found in view.recommend(f"u{answer.user}", k=10, where=where)]
            wrong += [item["item"] for item in answer.body["items"]] != expected
    return wrong


def switches(service, folder, options):
    """Send requests while another process publishes and rolls back; check the answers."""
    command = [sys.executable, __file__, "--switch", str(folder), "--promotions", str(options.promotions)]
    process = subprocess.Popen(["nice", *command, "--rollbacks", str(options.rollbacks)])
    before = service.usage
    ended = lambda: process.poll() is not None  # noqa: E731 - one argument
    answers = asyncio.run(send(service.port, options.rate, options.seconds, options.users, until=ended))
    row = summary(answers, service.usage - before, seconds=round(max(answer.at for answer in answers)))
    row["mixed"] = mixed(answers, folder, f"sqlite:///{folder}/item2vec.db")
    row["failed"] = row["200"] < row["sent"] or row["mixed"] > 0 or process.returncode != 0
    return row


def outage(folder, options, ids, items):
    """Stop the PostgreSQL server of a second service, and start it again."""
    sys.path.insert(0, str(ROOT / "tests"))
    from databases import Server, empty_schema

    server = Server()
    server.create()
    server.start()
    url = empty_schema(server.folder)
    fill(url, ids, items, options.users)
    service = Service(folder, "--store", url)
    seconds, times = max(12, options.seconds // 3), []

    def stop():
        time.sleep(seconds / 4)
        times.append(time.perf_counter())
        with server.outage("stopped"):
            time.sleep(seconds / 4)
        times.append(time.perf_counter())

    thread, before, begun = threading.Thread(target=stop), service.usage, time.perf_counter()
    thread.start()
    answers = asyncio.run(
        send(service.port, options.rate, seconds, options.users, kinds=("plain", "history"))
    )
    thread.join()
    row = summary(answers, service.usage - before, exit_code=service.stop())
    server.stop("immediate")
    stopped, started = (at - begun for at in times)
    degraded = [answer.at for answer in answers if "degraded" in answer.body]
    histories = [answer for answer in answers if answer.kind == "history"]
    row |= {
        "stopped": round(stopped, 1),
        "started": round(started, 1),
        "last_degraded": max(degraded, default=0),
    }
    row["failed"] = (
        row["200"] < row["sent"]
        or not degraded
        or any("degraded" in answer.body for answer in histories)
        or max(degraded, default=0) > started + 5
    )
    return row


def sigterm(service, options):
    """Send SIGTERM to the service under load."""
    timer = threading.Timer(2, service.process.send_signal, [signal.SIGTERM])
    timer.start()
    answers = asyncio.run(send(service.port, options.rate, 4, options.users))
    row = summary(answers, float("nan"), exit_code=service.process.wait(60))
    row["failed"] = row["lost"] > 0 or row["429/503"] > 0 or row["exit_code"] != 0
    return row


def plain(service, options, rate, seconds, *, may_refuse=False):
    before = service.usage
    answers = asyncio.run(send(service.port, rate, seconds, options.users))
    row = summary(answers, service.usage - before)
    return row | {"failed": row["lost"] > 0 or row["refused"] > 0 or (row["429/503"] > 0 and not may_refuse)}


def run(folder, options):
    """Run the phases; yield the name and the row of each."""
    ids, items = make(folder, options.items, options.users)
    service, rate = Service(folder), options.rate
    of_phase = {
        "steady": lambda: plain(service, options, rate, max(5, options.seconds // 3)),
        "switches": lambda: switches(service, folder, options),
        "overload": lambda: plain(service, options, 4 * rate, 10, may_refuse=True),
        "recovered": lambda: plain(service, options, rate, 5),
        "outage": lambda: outage(folder, options, ids, items),
        "sigterm": lambda: sigterm(service, options),
    }
    try:
        for phase in PHASES:
            if phase in options.phases:
                yield phase, of_phase[phase]()
    finally:
        service.process.kill()
        service.process.wait()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("phases", nargs="*", help=f"phases: {' '.join(PHASES)}")
    parser.add_argument("--all", action="store_true", help="all phases")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=200, help="requests per second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--promotions", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--switch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.switch:
        switch(options.switch, options.promotions, options.rollbacks)
        return
    if options.all or not options.phases:
        options.phases = PHASES
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count())))
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        print(f"| phase | {' | '.join(COLUMNS)} | result |")
        print("|---" * (len(COLUMNS) + 2) + "|", flush=True)
        for phase, row in run(Path(name), options):
            rows[phase] = row
            verdict = "failed" if row["failed"] else "passed"
            print(
                f"| {phase} | {' | '.join(str(row[column]) for column in COLUMNS)} | {verdict} |", flush=True
            )
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2))
    sys.exit(any(row["failed"] for row in rows.values()))


if __name__ == "__main__":
    main()
