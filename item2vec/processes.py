"""Commands to run modules in new processes, and the processors and memory that a process may use."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["module_command", "resident_memory", "usable_cpus", "usable_memory"]

PROC = Path("/proc")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
RESIDENT = ("RssAnon:", "RssShmem:")


def module_command(module: str, *arguments: str) -> dict[str, Any]:
    """Return the arguments for ``subprocess.run`` to run a module with this interpreter and import path.

    >>> module_command("item2vec", "--version")["args"][1:]
    ['-P', '-m', 'item2vec', '--version']
    """
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    command = [sys.executable, "-P", "-m", module, *arguments]
    return {"args": command, "env": {**os.environ, "PYTHONPATH": path}}


def usable_cpus() -> int:
    """Return the number of processors that this process may use, at least 1.

    On Linux, the number is limited by the CPU affinity of the process and by the CPU quotas of its control
    groups (cgroup v2), as in a container. A quota of 1.5 processors is rounded up to 2.

    >>> usable_cpus() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        n_cpus = len(os.sched_getaffinity(0))
    else:
        n_cpus = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    quotas = [text.split() for text in _group_limits("cpu.max")]
    limits = [math.ceil(int(quota) / int(period)) for quota, period in quotas if quota != "max"]
    return max(1, min([n_cpus, *limits]))


def usable_memory() -> int:
    """Return the size of the memory in bytes, or the limit of the container (cgroup v2) if that is lower."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([memory, *(int(text) for text in _group_limits("memory.max") if text != "max")])


def resident_memory(pid: int) -> int:
    """Return the size of the resident memory of a process in bytes; 0 if the process has ended.

    On Linux, the pages of mapped files are not counted, because the kernel can evict them. On other systems,
    the size is measured by ``ps``, and includes these pages; without the command ``ps``, the result is 0.
    """
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return _resident_by_ps(pid)
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(RESIDENT))


def _resident_by_ps(pid: int) -> int:
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return 0
    kilobytes = shown.stdout.strip()
    return int(kilobytes) << 10 if kilobytes.isdecimal() else 0


def _group_limits(name: str) -> Iterator[str]:
    """Yield the values of a limit in the control group of this process and in the groups that contain it."""
    group = ""
    with contextlib.suppress(OSError):
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
        group = next((line[3:].lstrip("/") for line in lines if line.startswith("0::")), "")
    folder = CONTROL_GROUPS / group
    for outer in (folder, *folder.parents):
        if outer.is_relative_to(CONTROL_GROUPS):
            with contextlib.suppress(OSError):
                yield (outer / name).read_text().strip()
