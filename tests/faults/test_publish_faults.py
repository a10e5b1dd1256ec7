"""A publish killed or failed at any operation: the old or the new version is served, complete."""

import shutil
import signal
import subprocess

import pytest
from faults import strace
from faults.child import run
from faults.made import made_model
from faults.operations import INDETERMINATE, REFUSED, check, check_recovery

import item2vec

EVERY_FAULT = """
import sys
from pathlib import Path
from faults.operations import every_fault
print(every_fault(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""
FULL_DISK = """
import shutil, subprocess, sys
from pathlib import Path
import item2vec
from faults.made import made_model
from faults.operations import litter, served_seed, without_canary
from item2vec.errors import WriteError
disk, model = Path(sys.argv[1]), made_model(seed=1)
sys.path.insert(0, str(without_canary(disk.parent)))
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
models = shutil.copytree(sys.argv[2], disk / "models")
for refusals, kilobytes in enumerate(range(32, 200, 4)):
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)
    try:
        item2vec.publish(model, models)
        break
    except WriteError:
        assert served_seed(models) == 0 and litter(models) == [] and len(list(models.glob("versions/*"))) == 1
assert served_seed(models) == 1
print(refusals)
"""
INJECTED = {
    "kill": "signal=SIGKILL",
    "EIO": "error=EIO",
    "ENOSPC": "error=ENOSPC",
    "torn": "retval=1",
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "first", "step"), [("kill", 3, 14), ("EIO", 5, 14)])
def test_a_fault_at_some_operations(tmp_path, kind, first, step):
    assert int(run(EVERY_FAULT, tmp_path / "models", kind, first, step)) >= 30


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["kill", "EIO", "ENOSPC", "EIO ever after", "ENOSPC ever after"])
def test_a_fault_at_every_operation(tmp_path, kind):
    assert int(run(EVERY_FAULT, tmp_path / "models", kind, 1, 1)) >= 40


@pytest.mark.slow
def test_a_disk_that_becomes_full_at_any_point(tmp_path):
    own_mounts = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*own_mounts, "true"], check=False).returncode:
        pytest.skip("unshare cannot create mounts here")
    item2vec.publish(made_model(seed=0), tmp_path / "models")
    (tmp_path / "disk").mkdir()
    refusals = run(FULL_DISK, tmp_path / "disk", tmp_path / "models", prefix=own_mounts)
    assert int(refusals) >= 5


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """The trace of a second publish into the folder ``models`` next to it."""
    strace.require()
    folder = tmp_path_factory.mktemp("traced")
    item2vec.publish(made_model(seed=0), folder / "models")
    strace.under(folder / "models", "publish", folder / "trace", seed=1)
    return folder / "trace"


def inject(trace, faults):
    models, ended = trace.parent / "models", []
    for kind, call, number in faults:

        def publish(seed, kind=kind, call=call, number=number):
            option = f"inject={call}:{INJECTED[kind]}:when={number}"
            return strace.under(models, "publish", trace.with_name("injected"), "-e", option, seed=seed)

        ended.append(check(models, publish, f"{kind} at {call} {number}"))
    check_recovery(models)
    return ended


def test_everything_is_flushed_in_order(traced, tmp_path):
    assert strace.not_flushed(traced, traced.with_name("models")) == []
    strace.under(tmp_path / "new" / "models", "publish all", tmp_path / "first")
    assert strace.not_flushed(tmp_path / "first", tmp_path / "new" / "models") == []


@pytest.mark.slow
def test_faults_at_the_last_system_calls(traced):
    calls = strace.points(traced, traced.with_name("models"))
    last = {call: (call, number) for call, number in calls}
    faults = [("torn", "write"), ("ENOSPC", "rename"), ("EIO", "fsync"), ("kill", "rename")]
    ended = inject(traced, [(kind, *last[call]) for kind, call in faults])
    # A promotion that readers may have seen is never undone.
    assert ended == [REFUSED, REFUSED, INDETERMINATE, -signal.SIGKILL]


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", INJECTED)
def test_a_fault_at_every_system_call(traced, kind):
    calls = strace.points(traced, traced.with_name("models"))
    assert len(calls) > 60
    inject(traced, [(kind, *point) for point in calls if kind != "torn" or point[0] == "write"])
