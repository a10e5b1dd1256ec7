"""A retrain that is killed, stopped or fails at any instant: the old model is served, or the new one."""

import re

import pytest
from faults import strace
from faults.nightly import KILLED, Nights, Run

from item2vec import versions
from item2vec.store import Store

INJECTED = {
    "kill": "signal=SIGKILL",
    "stop": "signal=SIGTERM",
    "EIO": "error=EIO",
    "ENOSPC": "error=ENOSPC",
    "torn": "retval=1",
}
# Of a writer: whatever it does to the models folder and to the store.
MODELS_AND_STORE = re.compile("/served/|/item2vec.db")
EVERY = 5
RECOVER_EVERY = 10


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A night, and the traces of it."""
    strace.require()
    nights = Nights(tmp_path_factory.mktemp("traced"))
    assert nights.run("-ttt", of=("parent", "worker")) == 0, nights.last.complaints
    return nights, dict(nights.traces)


def inject(nights, faults):
    """Let night after night go wrong, and some go right in between and at the end; return how they ended."""
    ended = []
    for number, (of, kind, call, n) in enumerate(faults, 1):
        options = "-e", f"inject={call}:{INJECTED[kind]}:when={n}"
        ended.append(nights.with_fault(f"{kind} at {call} {n} of the {of}", *options, of=(of,)))
        reached = re.search(r"INJECTED|killed by|--- SIG", nights.traces[of].read_text())
        assert reached or ended[-1] == 0, f"nothing was injected, and yet: {nights.last.complaints}"
        if number % RECOVER_EVERY == 0:
            nights.recover()
    nights.recover()
    return ended


def test_everything_is_flushed_in_order(traced):
    nights, traces = traced
    trace = strace.merge(traces.values(), nights.models.with_name("merged"))
    renamed = [arguments for call, arguments, _ in strace.calls_in(trace) if call == "rename"]
    assert sum('/models/CURRENT"' in arguments for arguments in renamed) == 1
    assert strace.not_flushed(trace, nights.models) == []


def test_faults_at_some_system_calls(traced):
    nights, traces = traced

    def first(of, kind, call, place):
        return of, kind, *next(p for p in strace.points(traces[of], re.compile(place)) if p[0] == call)

    faults = [
        first("worker", "ENOSPC", "write", "/bundle/|/.bundle"),
        first("parent", "kill", "rename", "/runs/"),
        first("parent", "EIO", "fsync", "/models>"),
        first("parent", "stop", "rename", "/CURRENT"),
    ]
    assert inject(nights, faults) == [1, KILLED, 6, 6]
    with Store(nights.url) as store:
        runs = [run.status for run in reversed(store.runs(limit=6))]
    assert runs == ["promoted", "failed", "promoted", "promoted", "promoted", "promoted"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", INJECTED)
@pytest.mark.parametrize("of", ["parent", "worker"])
def test_a_fault_at_every_fifth_system_call(traced, of, kind):
    nights, traces = traced
    found = strace.points(traces[of], MODELS_AND_STORE)
    assert len(found) > 80
    if kind == "torn":
        found = [point for point in found if point[0] == "write"]
    else:
        # Not the same ones for all kinds.
        found = found[list(INJECTED).index(kind) :: EVERY]
    print(f"{kind} at {len(found)} system calls of the {of}")  # noqa: T201
    inject(nights, [(of, kind, *point) for point in found])


@pytest.mark.slow
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


def test_a_live_model_that_was_damaged_is_replaced(tmp_path):
    nights = Nights(tmp_path)
    file = versions.current(nights.models).path / "output.npy"
    file.chmod(0o644)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert nights.run(seed=0) == 0, nights.last.complaints
    assert nights.served() == 0


def test_of_two_runs_one_is_told_that_the_other_holds_the_lock(tmp_path):
    nights = Nights(tmp_path)
    early, winner, late = (Run(nights, seed) for seed in (0, 1, 2))
    assert winner.begin()
    for run in (early, late):
        assert not run.begin()
        assert run.end() == 75
        assert f"process {winner.pid}" in run.complaints
    assert winner.end() == 0
    assert versions.current(nights.models).generation == 2
    assert nights.served() == 1
    with Store(nights.url) as store:
        assert [run.status for run in store.runs()] == ["promoted"]


@pytest.mark.slow
def test_whoever_begins_at_the_same_time_is_promoted_or_told(tmp_path):
    nights = Nights(tmp_path)
    n_promoted = 0
    for _ in range(5):
        runs = [Run(nights, seed) for seed in range(3)]
        for run in runs:
            run.say_so()
        ended = []
        for run in runs:
            run.begin()
            ended.append(run.end())
        assert set(ended) <= {0, 75}
        n_promoted += ended.count(0)
        assert versions.current(nights.models).generation == 1 + n_promoted > 1
    nights.recover()
