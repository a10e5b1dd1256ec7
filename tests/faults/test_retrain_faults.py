"""If a run is killed, stopped, or fails at any operation, the old model is served, or the new one."""

import errno
import os
import re
from collections import Counter

import pytest
from faults import strace
from faults.nightly import KILLED, Nights, Run
from nights import InProcessWorker, changed

import item2vec
from item2vec import versions
from item2vec.errors import DurabilityError
from item2vec.store import Store

INJECTED = {
    "kill": "signal=SIGKILL",
    "stop": "signal=SIGTERM",
    "EIO": "error=EIO",
    "ENOSPC": "error=ENOSPC",
    "EACCES": "error=EACCES",
    "ENOMEM": "error=ENOMEM",
    "torn": "retval=1",
}
# Paths of the system calls at which faults are injected.
MODELS_AND_STORE = re.compile("/served/|/item2vec.db")
PROCESSES = "parent", "worker", "canary"
EVERY = 5
EVERY_DISTINCT = 3
RECOVER_EVERY = 10


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A models folder after one run with its canary, and the traces of the three processes of that run."""
    strace.require()
    nights = Nights(tmp_path_factory.mktemp("traced"), canary=True)
    assert nights.run("-ttt", of=PROCESSES) == 0, nights.last.stderr
    if any(".nbc" in trace.read_text() for trace in nights.traces.values()):
        # The run compiled kernels and wrote them to the cache, which the runs with faults will not do.
        assert nights.run("-ttt", of=PROCESSES) == 0, nights.last.stderr
    return nights, dict(nights.traces)


def inject(nights, faults):
    """Retrain once per fault, recover every few runs and at the end; return the exit codes."""
    codes = []
    for number, (of, kind, call, n) in enumerate(faults, 1):
        options = "-e", f"inject={call}:{INJECTED[kind]}:when={n}"
        codes.append(nights.with_fault(f"{kind} at {call} {n} of the {of}", *options, of=(of,)))
        reached = re.search(r"INJECTED|killed by|--- SIG", nights.traces[of].read_text())
        assert reached or codes[-1] == 0, f"failed although nothing was injected: {nights.last.stderr}"
        if number % RECOVER_EVERY == 0:
            nights.recover()
    nights.recover()
    return codes


@pytest.mark.slow
def test_files_are_flushed_before_they_are_renamed(traced):
    nights, traces = traced
    trace = strace.merge(traces.values(), nights.models.with_name("merged"))
    renamed = [arguments for call, arguments, _ in strace.calls_in(trace) if call == "rename"]
    assert sum('/models/CURRENT"' in arguments for arguments in renamed) == 1
    assert strace.not_flushed(trace, nights.models) == []


@pytest.mark.slow
def test_faults_at_some_system_calls(traced):
    nights, traces = traced

    def first(of, kind, call, path):
        points = strace.points(traces[of], re.compile(path))
        return of, kind, *next(point for point in points if point[0] == call)

    faults = [
        first("worker", "ENOSPC", "write", "/bundle/|/.bundle"),
        first("canary", "EIO", "read", "/bundle/output.npy"),
        first("parent", "kill", "rename", "/runs/"),
        first("parent", "EIO", "fsync", "/models>"),
        first("parent", "stop", "rename", "/CURRENT"),
    ]
    assert inject(nights, faults) == [1, 5, KILLED, 6, 6]
    with Store(nights.url) as store:
        runs = [run.status for run in reversed(store.runs(limit=7))]
    assert runs == ["promoted", "failed", "failed", *["promoted"] * 4]


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", INJECTED)
@pytest.mark.parametrize("of", PROCESSES)
def test_a_fault_at_every_third_distinct_system_call(traced, of, kind):
    nights, traces = traced
    points = strace.distinct(traces[of], MODELS_AND_STORE)
    assert len(points) > {"parent": 60, "worker": 70, "canary": 15}[of]
    if kind == "torn":
        points = [point for point in points if point[0] == "write"]
    else:
        # Each kind of fault starts at another system call.
        points = points[list(INJECTED).index(kind) % EVERY_DISTINCT :: EVERY_DISTINCT]
    codes = inject(nights, [(of, kind, *point) for point in points])
    print(f"{kind} at {len(points)} system calls of the {of}: {dict(Counter(codes))}")  # noqa: T201


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["kill", "EIO", "ENOSPC", "EIO ever after", "ENOSPC ever after"])
def test_a_fault_at_every_fifth_operation_of_the_parent(tmp_path, kind):
    nights = Nights(tmp_path)
    assert nights.run(number=10_000, kind=kind) == 0
    n_operations = nights.last.operations
    assert n_operations > 50
    print(f"{kind} at operations 1 to {n_operations}, every {EVERY}th")  # noqa: T201
    for number in range(1, n_operations + 1, EVERY):
        nights.with_fault(f"{kind} at operation {number}", number=number, kind=kind)
    nights.recover()


def test_a_damaged_live_model_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    nights = Nights(tmp_path)
    file = versions.served_version(nights.models).path / "output.npy"
    file.chmod(0o644)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    item2vec.retrain(models=nights.models, store=nights.url, config=changed(seed=0))
    assert nights.served() == 0


def test_a_promotion_of_unknown_durability_is_recorded_as_promoted(tmp_path, monkeypatch):
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)
    nights = Nights(tmp_path)
    before, fsync = (nights.models / "CURRENT").read_bytes(), os.fsync

    def fail_after_the_promotion(number):
        if (nights.models / "CURRENT").read_bytes() != before:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(number)

    monkeypatch.setattr("os.fsync", fail_after_the_promotion)
    with pytest.raises(DurabilityError):
        item2vec.retrain(models=nights.models, store=nights.url, config=changed(seed=1))
    assert nights.served() == 1
    with Store(nights.url) as store:
        assert [run.status for run in store.runs()] == ["promoted"]


@pytest.mark.slow
def test_a_second_run_ends_with_an_error_that_names_the_lock_holder(tmp_path):
    nights = Nights(tmp_path)
    loser, winner = (Run(nights, seed) for seed in (0, 1))
    assert winner.begin()
    assert not loser.begin()
    assert loser.end() == 75
    assert f"process {winner.pid}" in loser.stderr
    assert winner.end() == 0
    assert versions.served_version(nights.models).generation == 2
    assert nights.served() == 1
    with Store(nights.url) as store:
        assert [run.status for run in store.runs()] == ["promoted"]


@pytest.mark.exhaustive
def test_runs_that_begin_at_the_same_time_are_promoted_or_refused_the_lock(tmp_path):
    nights = Nights(tmp_path)
    n_promoted = 0
    for _ in range(5):
        runs = [Run(nights, seed) for seed in range(3)]
        for run in runs:
            run.resume()
        codes = []
        for run in runs:
            run.begin()
            codes.append(run.end())
        assert set(codes) <= {0, 75}
        n_promoted += codes.count(0)
        assert versions.served_version(nights.models).generation == 1 + n_promoted > 1
    nights.recover()
