"""Attach strace to a publish: to count its system calls, to fail one, or to kill the process at one."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

from faults.child import ENVIRONMENT

CALLS = (
    "openat,write,writev,pwrite64,fsync,fdatasync,?rename,?renameat,renameat2,?mkdir,mkdirat,?rmdir,?unlink,unlinkat,"
    "?chmod,fchmod,fchmodat,ftruncate"
)
PUBLISH = """
import os, sys
import item2vec
from faults import operations
full = {"index": "annoy", "items": True} if sys.argv[3] == "full" else {}
model = operations.made_model(seed=int(sys.argv[2]), **full)
sys.stdout.write("ready\\n"), sys.stdout.flush(), sys.stdin.readline()
try:
    item2vec.publish(model, sys.argv[1])
    os._exit(operations.PUBLISHED)
except operations.DurabilityError:
    os._exit(operations.INDETERMINATE)
except operations.Item2VecError:
    os._exit(operations.REFUSED)
"""
LINE = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|\?)")


@cache
def can_attach():
    """Tell whether strace is there and may look into other processes."""
    if not shutil.which("strace"):
        return False
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    strace = subprocess.Popen(["strace", "-p", str(sleeper.pid)], stderr=subprocess.PIPE, text=True)
    attached = "attached" in strace.stderr.readline()
    sleeper.communicate(b"\n")
    strace.communicate()
    return attached


def publish_under(models, seed, trace, *options, full=False):
    """Publish in a child process with strace attached; return how it ended (negative: by which signal).

    A ``full`` model has files of every kind.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(models), str(seed), "full" if full else ""],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    strace = subprocess.Popen(
        ["strace", "-y", "-s", "0", "-o", str(trace), "-p", str(child.pid), "-e", f"trace={CALLS}", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "attached" in strace.stderr.readline()
    try:
        _, errors = child.communicate("\n", timeout=120)
        strace.communicate(timeout=60)
    finally:
        child.kill(), strace.kill()
    assert child.returncode != 1, errors
    return child.returncode


def calls_in(trace):
    """Return the system calls of a trace in their order: name, arguments, and whether it succeeded."""
    matches = (LINE.match(line) for line in Path(trace).read_text().splitlines())
    return [(match["call"], match["arguments"], match["result"] != "-1") for match in matches if match]


def points(trace, folder):
    """Return ``(call, n)`` of each system call in a folder: the first openat, the second openat, …"""
    seen = Counter()
    found = []
    for call, arguments, _ in calls_in(trace):
        seen[call] += 1
        if str(folder) in arguments:
            found.append((call, seen[call]))
    return found


def not_flushed(trace, models):
    """Return what a power loss could have undone at a moment when it must not, during a traced publish.

    What is moved must have been flushed before, file by file and folder by folder; when ``CURRENT`` is
    replaced, everything else must have been; and at the end the folder of ``CURRENT``.
    """
    unflushed, faults = set(), []
    for call, arguments, succeeded in calls_in(trace):
        described, named = re.search(r"\d+<([^>]*)>", arguments), re.findall(r'"([^"]+)"', arguments)
        if not succeeded or str(trace.parent) not in arguments:
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
