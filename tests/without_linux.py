"""With ``PORTABLE=1``: remove the system calls and folders that only Linux has, as on macOS.

``conftest.py`` imports this module in the process of the tests, and ``portable/sitecustomize.py`` in child
processes. Calls are removed for every module, but folders such as /proc for the files of item2vec only: the
tests themselves read /proc.
"""

import errno
import os
import sys
from pathlib import Path

PORTABLE = os.environ.get("PORTABLE") == "1"
SITECUSTOMIZE = str(Path(__file__).parent / "portable")

CALLS = ("memfd_create", "posix_fadvise", "sched_getaffinity")
FOLDERS = ("/proc/", "/dev/fd/", "/sys/fs/cgroup/")
PACKAGE = str(Path(__file__).parent.parent / "item2vec") + os.sep
STANDARD_LIBRARY = (os.path.dirname(os.__file__) + os.sep, "<frozen ")  # noqa: PTH120 - loads no other module


def remove():
    """Remove the calls, and hide the folders."""
    for name in CALLS:
        if hasattr(os, name):
            delattr(os, name)
    if hasattr(os, "process_cpu_count"):  # uses sched_getaffinity
        os.process_cpu_count = os.cpu_count
    # joblib warns about a Linux without sched_getaffinity.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(os.cpu_count()))
    sys.addaudithook(hide)
    if SITECUSTOMIZE not in sys.path:  # item2vec passes it to its child processes
        sys.path.append(SITECUSTOMIZE)
        given = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{SITECUSTOMIZE}{os.pathsep}{given}" if given else SITECUSTOMIZE


def hide(event, arguments):
    """Let an open of a file in a hidden folder fail if item2vec opens it."""
    if event != "open" or not str(arguments[0]).startswith(FOLDERS) or not is_opened_by_the_package():
        return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])


def is_opened_by_the_package():
    """Return whether the innermost frame outside of the standard library is one of item2vec."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(STANDARD_LIBRARY):
        if "site-packages" in frame.f_code.co_filename:
            return False
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(PACKAGE)


if PORTABLE:
    remove()
