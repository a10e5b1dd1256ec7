"""Workers of pytest-xdist take turns at compiling kernels: one compiles, the others load its machine code."""

import contextlib
import fcntl
import os
from pathlib import Path

from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher

from item2vec import kernels

FOLDER = Path(kernels.__file__).parent
compile_without_turns = Dispatcher.compile
being_compiled = set()


@contextlib.contextmanager
def turn(file):
    """Hold a lock on a kernel's source file, unless this process holds it already for a calling kernel.

    Files import each other without cycles, and so no two processes wait for each other.
    """
    if file in being_compiled:
        yield
        return
    with open(file) as source:  # noqa: PTH123 - closing the file releases the lock
        fcntl.flock(source, fcntl.LOCK_EX)
        being_compiled.add(file)
        try:
            yield
        finally:
            being_compiled.remove(file)


def compile_in_turn(dispatcher, signature):
    file = dispatcher.py_func.__code__.co_filename
    if Path(file).parent != FOLDER:
        return compile_without_turns(dispatcher, signature)
    # One thread at a time gets here, as numba's lock comes first.
    with global_compiler_lock, turn(file):
        return compile_without_turns(dispatcher, signature)


def take_turns():
    """Let the kernels of this process be compiled in turn, if it is a worker."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        Dispatcher.compile = compile_in_turn
