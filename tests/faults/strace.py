"""Attach strace to a process to count its system calls, to let one fail, or to kill the process at one."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from faults.child import ENVIRONMENT, HANGING
from faults.operations import without_canary

CALLS = (
    "openat,write,writev,pwrite64,fsync,fdatasync,?rename,?renameat,renameat2,?mkdir,mkdirat,?rmdir,?unlink,unlinkat,"
    "?chmod,fchmod,fchmodat,ftruncate"
)
READS = "read,pread64,mmap,flock,getdents64"
ACTION = """
import os, sys
import item2vec
from faults import operations
models, name, seed = sys.argv[1:]
full = {"index": "annoy", "items": True} if name == "publish all" else {}
model = operations.made_model(seed=int(seed), **full)
sys.stdout.write("ready\\n"), sys.stdout.flush(), sys.stdin.readline()
try:
    operations.roll_back(models) if name == "rollback" else item2vec.publish(model, models)
    os._exit(operations.DONE)
except operations.DurabilityError:
    os._exit(operations.INDETERMINATE)
except operations.Item2VecError:
    os._exit(operations.REFUSED)
"""
# Files that need not survive a power loss: the note in LOCK, and a run's snapshot.
OF_NO_USE_LATER = re.compile("/models/(LOCK|staging/[^/]+/snapshot)")
VARIABLE = re.compile("g[0-9]{10}-[0-9a-f]{8}|[0-9a-f]{32}|[0-9]{8}T[0-9]{6}Z")
LINE = re.compile(r"([\d.]+ )?(?P<call>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|\?)")


@cache
def can_attach():
    """Return whether strace is installed and may attach to other processes."""
    if not shutil.which("strace"):
        return False
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    strace = subprocess.Popen(["strace", "-p", str(sleeper.pid)], stderr=subprocess.PIPE, text=True)
    attached = "attached" in strace.stderr.readline()
    sleeper.communicate(b"\n")
    strace.communicate()
    return attached


def require():
    """Skip a test where strace is missing or may not attach."""
    if not can_attach():
        pytest.skip("strace is not installed, or may not attach to other processes")


def attach(pid, trace, *options, calls=CALLS):
    """Trace the main thread of a process; return the strace process once it has attached."""
    strace = subprocess.Popen(
        ["strace", "-y", "-s", "0", "-o", str(trace), "-p", str(pid), "-e", f"trace={calls}", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "attached" in strace.stderr.readline()
    return strace


def under(models, name, trace, *options, seed=0):
    """Run an action in a child process with strace attached; return its exit code (negative: a signal).

    ``name`` is "publish" (the model of that seed), "publish all" (a model with files of every kind), or
    "rollback". There is no canary.
    """
    path = without_canary(trace.parent), ENVIRONMENT["PYTHONPATH"]
    child = subprocess.Popen(
        [sys.executable, "-c", ACTION, str(models), name, str(seed)],
        env=ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    strace = attach(child.pid, trace, *options)
    try:
        _, errors = child.communicate("\n", timeout=HANGING)
        strace.communicate(timeout=HANGING)
    finally:
        child.kill(), strace.kill()
    assert child.returncode != 1, errors
    return child.returncode


def merge(traces, merged):
    """Merge traces recorded with ``-ttt`` into one file, ordered by time; return its path."""
    lines = [line for trace in traces for line in trace.read_text().splitlines() if LINE.match(line)]
    merged.write_text("\n".join(sorted(lines, key=lambda line: float(line.split()[0]))))
    return merged


def calls_in(trace):
    """Return the system calls of a trace in order: name, arguments, and whether the call succeeded."""
    matches = (LINE.match(line) for line in Path(trace).read_text().splitlines())
    return [(match["call"], match["arguments"], match["result"] != "-1") for match in matches if match]


def points(trace, target):
    """Return ``(call, n)`` for each system call on a target path: its name, and its number for that name.

    ``target`` is a path, which may be the start of longer ones, or a pattern to search in the arguments.
    """
    return [(call, n) for call, n, _ in _points(trace, target)]


def distinct(trace, target):
    """Return the first of the points that have equal names, paths and modes of opening.

    Paths are equal if they differ in version ids, times and random names only.
    """
    found = {}
    for call, n, arguments in _points(trace, target):
        path = VARIABLE.sub("#", " ".join(re.findall(r'[<"](/[^>"]*)[>"]', arguments)))
        found.setdefault((call, path, "O_CREAT" in arguments), (call, n))
    return list(found.values())


def _points(trace, target):
    pattern = target if isinstance(target, re.Pattern) else re.compile(re.escape(str(target)))
    seen = Counter()
    for call, arguments, _ in calls_in(trace):
        seen[call] += 1
        if pattern.search(arguments):
            yield call, seen[call], arguments


def not_flushed(trace, models):
    """Return the paths that a traced publish failed to flush in time, and writes to ``CURRENT`` in place.

    A file or folder must be flushed before it is moved, everything before ``CURRENT`` is replaced, and the
    folder of ``CURRENT`` at the end.
    """
    unflushed, faults = set(), []
    for call, arguments, succeeded in calls_in(trace):
        described, named = re.search(r"\d+<([^>]*)>", arguments), re.findall(r'"([^"]+)"', arguments)
        if not succeeded or str(trace.parent) not in arguments or OF_NO_USE_LATER.search(arguments):
            continue
        if call == "write":
            unflushed.add(Path(described[1]))
        elif call == "fsync":
            unflushed.discard(Path(described[1]))
        elif call == "mkdir" or "O_CREAT" in arguments:
            unflushed.add(Path(named[0]).parent)
        elif call == "rename":
            old, new = map(Path, named)
            committing = new == models / "CURRENT"
            moved = {path for path in unflushed if path == old or old in path.parents}
            faults += sorted(unflushed - {models} if committing else moved)
            unflushed |= {old.parent, new.parent}
        if str(models / "CURRENT") in named and ("O_WRONLY" in arguments or "O_RDWR" in arguments):
            faults.append(f"CURRENT is written in place: {call}({arguments})")
    return faults + sorted(unflushed)
