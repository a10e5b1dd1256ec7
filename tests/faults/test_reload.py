"""Models are replaced while threads and processes use them: no error, no mixed rankings, no leak."""

import itertools
import shutil
import subprocess
import sys
import threading
import time

import pytest
from faults.child import ENVIRONMENT, needs_proc, run
from faults.promoted import captured_log, promote, seed_of, shared_model

import item2vec
from item2vec import Engine, Interactions, versions
from item2vec.store import Store
from item2vec.versions.live import Live

USERS = {f"user-{number}": [f"item-{number + step}" for step in (1, 5, 9)] for number in range(40)}

# Publishes, rolls back, and in between promotes existing versions.
PROMOTIONS = """
import sys
from pathlib import Path
import item2vec
from faults.operations import without_canary
from faults.promoted import promote, shared_model
from item2vec import versions
models, n, n_published = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, str(without_canary(models.parent)))
for number in range(n):
    step = number % (n // n_published)
    if step == 0:
        item2vec.publish(shared_model(number), models)
    elif step == 1:
        versions.rollback(models, reason="a test")
    else:
        known = versions.list_versions(models)
        promote(models, known[number % len(known)])
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reload")
    for seed in (1001, 1002):
        item2vec.publish(shared_model(seed), folder / "models")
    rows = [(user, item, place) for user, items in USERS.items() for place, item in enumerate(items)]
    users, items, places = zip(*rows, strict=True)
    with Store(f"sqlite:///{folder}/item2vec.db") as store:
        store.upgrade()
        store.ingest(Interactions.of(user=users, item=items, timestamp=places))
    return folder


@pytest.fixture
def places(made, memory):
    """A models folder with two versions and a store, as arguments of an engine."""
    shutil.copytree(made, memory, dirs_exist_ok=True)
    return {"models": memory / "models", "store": f"sqlite:///{memory}/item2vec.db"}


class Readers:
    """Threads that request recommendations repeatedly, and record the seeds of the models behind them."""

    def __init__(self, recommend, seeds):
        self.expected = {}
        for seed in seeds:
            rankings = shared_model(seed).recommend_many(USERS.values(), k=5)
            for user, ranking in zip(USERS, rankings, strict=True):
                self.expected.setdefault((user, tuple(ranking)), set()).add(seed)
        self.recommend, self.seen, self.faults = recommend, set(), []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.read, args=(number,)) for number in range(2)]

    def read(self, number):
        for user in itertools.islice(itertools.cycle(USERS), number, None):
            if self.ended.wait(0.02):
                return
            try:
                seeds = self.expected.get((user, tuple(self.recommend(user))))
            except Exception as error:  # noqa: BLE001 - no exception is expected
                self.faults.append(repr(error))
                continue
            if seeds is None or len(seeds) != 1:
                self.faults.append(f"{user}: {seeds}")
            else:
                self.seen |= seeds

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def recommend_by(live):
    def recommend(user):
        model = live.model
        ranking = model.recommend(USERS[user], k=5)
        assert ranking == model.recommend(USERS[user], k=5)
        return ranking

    return recommend


def read_while_promoted(places, n, n_published):
    seeds = [1001, 1002, *range(0, n, n // n_published)]
    command = [sys.executable, "-c", PROMOTIONS, str(places["models"]), str(n), str(n_published)]
    with captured_log() as (messages, _):
        engine, live = Engine(**places, reload_every=0.003), Live(places["models"], every=0.003)
        of_engine = Readers(lambda user: engine.recommend(user, k=5), seeds)
        of_live = Readers(recommend_by(live), seeds)
        with engine, live, of_engine, of_live:
            subprocess.run(command, env=ENVIRONMENT, check=True)
            last = versions.served_version(places["models"])
            while {engine.version, live.version.id} != {last.id}:
                assert of_engine.faults == of_live.faults == []
                time.sleep(0.01)
        assert engine.status()["failure"] is live.failure is None
    for readers in (of_engine, of_live):
        assert readers.faults == []
        assert {1002, seed_of(live.model)} <= readers.seen
        assert len(readers.seen) >= min(n_published, 3)
    assert not [line for line in messages if "still serving" in line]


@pytest.mark.slow
def test_every_ranking_comes_from_one_version_during_twenty_promotions(places):
    read_while_promoted(places, 20, 1)


@pytest.mark.exhaustive
def test_every_ranking_comes_from_one_version_during_two_hundred_promotions(places):
    read_while_promoted(places, 200, 20)


def test_damage_does_not_affect_readers(places):
    models = places["models"]
    first, second = versions.list_versions(models)
    current = models / "CURRENT"
    with captured_log() as (_, wait_for):
        engine = Engine(**places, reload_every=0.003)
        with engine, Readers(lambda user: engine.recommend(user, k=5), [1001, 1002]) as readers:
            file = first.path / "output.npy"
            whole = file.read_bytes()
            file.chmod(0o644)
            file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            promote(models, first)
            wait_for("output.npy is damaged")
            content = current.read_bytes()
            current.write_bytes(b"{}")
            wait_for("CURRENT does not match the SHA-256 that it contains")
            current.unlink()
            wait_for("nothing is published")
            assert engine.version == second.id
            assert "nothing is published" in engine.status()["failure"]["text"]
            assert readers.seen <= {1002}
            file.write_bytes(whole)
            current.write_bytes(content)
            wait_for(f"now serving {first.id}")
            shutil.rmtree(second.path)
            promote(models, second)
            wait_for("contains no bundle")
            assert engine.version == first.id
    assert readers.faults == []


@pytest.mark.slow
def test_each_forked_process_follows_on_its_own(places):
    code = """
import os, signal, sys
from pathlib import Path
from faults.promoted import promote
from item2vec import Engine, versions
models, store = Path(sys.argv[1]), sys.argv[2]
served = versions.list_versions(models)
read_end, write_end = os.pipe()
def follow(engine):
    signal.alarm(600)
    for version in served:
        while engine.version != version.id:
            assert engine.recommend("user-1")
        os.write(write_end, b".")
    os._exit(0)
with Engine(models=models, store=store, reload_every=0.01) as engine:
    engine.recommend("user-1")
    children = []
    for _ in range(2):
        children.append(os.fork())
        if not children[-1]:
            follow(engine)
    os.close(write_end)
    for version in served:
        promote(models, version)
        while engine.version != version.id:
            assert engine.recommend("user-1")
        assert os.read(read_end, 1) + os.read(read_end, 1) == b".."
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    run(code, places["models"], places["store"])


@pytest.mark.slow
def test_a_process_forked_during_a_load_follows(places):
    code = """
import itertools, os, signal, sys, threading
from pathlib import Path
from faults.promoted import promote
from item2vec import versions
from item2vec.versions.live import Live
models = Path(sys.argv[1])
known = versions.list_versions(models)
ended = threading.Event()
def move():
    for version in itertools.cycle(known):
        if ended.is_set():
            break
        promote(models, version)
mover = threading.Thread(target=move)
with Live(models, every=0.0001) as live:
    mover.start()
    for _ in range(int(sys.argv[2])):
        child = os.fork()
        if not child:
            signal.alarm(600)
            before = live.model
            while live.model is before:
                pass
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    ended.set()
    mover.join()
"""
    run(code, places["models"], 12)


GROWTH = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from pathlib import Path
from faults.promoted import promote
from item2vec import versions
from item2vec.versions.live import Live
models, n = Path(sys.argv[1]), int(sys.argv[2])
known = versions.list_versions(models)
pages = os.sysconf("SC_PAGESIZE")
def measured():
    maps = len(Path("/proc/self/maps").read_text().splitlines())
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * pages
    return len(os.listdir("/proc/self/fd")), maps, rss
with Live(models, every=None) as live:
    for number in range(n):
        promote(models, known[number % 2])
        assert live.check()
        live.model.similar_items("item-1")
        if number == n // 3:
            descriptors, maps, rss = measured()
    after = measured()
    assert after[0] <= descriptors and after[1] <= maps + 4 and after[2] < rss + (4 << 20)
"""


def reload_many_times(places, n):
    run(GROWTH, places["models"], n)


@pytest.mark.slow
@needs_proc
def test_reloads_leak_no_memory_or_descriptors(places):
    reload_many_times(places, 100)


@needs_proc
@pytest.mark.exhaustive
def test_a_thousand_reloads_leak_no_memory_or_descriptors(places):
    reload_many_times(places, 1000)
