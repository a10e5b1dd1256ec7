"""Kill a publish, rollback or gc, or let it fail, at its n-th file system operation, n = 1, 2, …

Runs in a child process. Operations are counted in Python, without a debugger; ``strace.py`` counts system
calls.
"""

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import traceback
from itertools import count

from faults.child import HANGING
from faults.made import made_model, made_vectors

import item2vec
from item2vec import versions
from item2vec.errors import DurabilityError, Item2VecError

COUNTED = ("chmod", "fsync", "listdir", "mkdir", "open", "rename", "replace", "rmdir", "scandir", "unlink")
DONE, REFUSED, INDETERMINATE, UNTYPED, NOT_REACHED = range(10, 15)
ENDS = {DONE, REFUSED, INDETERMINATE, NOT_REACHED, -signal.SIGKILL}


def at_operation(number, act, *, ever_after=False):
    """Call ``act`` before the operation with this number; return a list that holds the count so far."""
    numbers = count(1)
    seen = [0]

    def counted(original):
        def operation(*args, **kwargs):
            seen[0] = next(numbers)
            if seen[0] == number or (ever_after and seen[0] > number):
                act()
            return original(*args, **kwargs)

        return operation

    for name in COUNTED:
        setattr(os, name, counted(getattr(os, name)))
    return seen


def without_canary(folder):
    """Return a folder that, first on ``sys.path``, makes every canary succeed at once.

    A canary takes half a second, too long for tests of many steps that are not about it.
    """
    (folder / "sitecustomize.py").write_text(
        "import os, sys\nif 'item2vec.versions.canary' in sys.orig_argv: os._exit(0)\n"
        "if os.environ.get('PORTABLE') == '1': import without_linux\n"  # it hides tests/portable
    )
    return folder


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number):
    def act():
        raise OSError(number, os.strerror(number))

    return act


def outcome(action, number, act, *, ever_after=False):
    """Run an action in a fork of this process, with a fault; return the exit code."""
    pid = os.fork()
    if pid == 0:
        seen = at_operation(number, act, ever_after=ever_after)
        try:
            action()
            os._exit(DONE if seen[0] >= number else NOT_REACHED)
        except DurabilityError:
            os._exit(INDETERMINATE)
        except Item2VecError:
            os._exit(REFUSED)
        except BaseException:  # noqa: BLE001 - a fork must not continue as its parent
            traceback.print_exc()
            os._exit(UNTYPED)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def served_seed(models):
    """Load the served version, check all its arrays, and return its seed."""
    model = item2vec.load(models)
    seed = model.vectors.config.seed
    expected = made_vectors(seed=seed)
    assert model.vectors.vocabulary == expected.vocabulary
    assert (model.vectors.input == expected.input).all()
    assert (model.vectors.output == expected.output).all()
    return seed


def litter(models):
    """Return the files in a models folder that are neither needed nor part of a version."""
    expected = {"CURRENT", "HOLD", "LOCK", "pins", "runs", "staging", "versions"}
    strays = [path for path in models.iterdir() if path.name not in expected]
    return strays + list((models / "staging").iterdir()) + list((models / "versions").glob(".*"))


def check(models, publish, where, *, ever_after=False):
    """Publish with a fault, check the served version before and after, and return the exit code.

    ``publish`` takes the seed of the model to publish: 0 or 1, whichever is not served.
    """
    before = served_seed(models)
    kept = names_in(models / "versions")
    exit_code = publish(1 - before)
    after = served_seed(models)
    assert exit_code in {DONE, REFUSED, INDETERMINATE, NOT_REACHED, -signal.SIGKILL}, (
        f"{where}: exit code {exit_code}"
    )
    if exit_code in {DONE, NOT_REACHED} or (exit_code == INDETERMINATE and not ever_after):
        assert after == 1 - before, f"{where}: published, but the old version is served"
    if exit_code == REFUSED:
        assert after == before, f"{where}: refused, but the new version is served"
    if exit_code == REFUSED and not ever_after:
        assert names_in(models / "versions") == kept, (
            f"{where}: a version that was never served was left behind"
        )
    return exit_code


def check_recovery(models):
    """Publish without a fault; no leftovers of earlier faults may remain."""
    item2vec.publish(made_model(), models)
    assert litter(models) == []
    generations = [version.generation for version in versions.list_versions(models)]
    assert generations == list(range(1, versions.served_version(models).generation + 1))


def every_fault(models, kind, first, step):
    """Inject a fault at operation ``first, first + step, …`` until there are no more; return the last."""
    made = [made_model(seed=seed) for seed in (0, 1)]
    sys.path.insert(0, str(without_canary(models.parent)))
    item2vec.publish(made[0], models)
    for number in count(first, step):

        def publish(seed, number=number):
            return outcome(
                lambda: item2vec.publish(made[seed], models), number, act(kind), ever_after="ever" in kind
            )

        if check(models, publish, f"{kind} at operation {number}", ever_after="ever" in kind) == NOT_REACHED:
            break
    check_recovery(models)
    return number - step


def act(kind):
    return kill if kind == "kill" else fail(errno.ENOSPC if "ENOSPC" in kind else errno.EIO)


def every_fault_of(name, folder, kind, first, step):
    """Do the same for a rollback or a gc, each time in a new folder of four versions."""
    sys.path.insert(0, str(without_canary(folder)))
    action, check_result = {"rollback": (roll_back, check_rollback), "gc": (clean, check_gc)}[name]
    for seed in range(4):
        item2vec.publish(made_model(seed=seed), folder / "made")
    for number in count(first, step):
        models = shutil.copytree(folder / "made", folder / str(number))
        where, ever_after = f"{name}, {kind} at operation {number}", "ever" in kind
        exit_code = outcome(lambda models=models: action(models), number, act(kind), ever_after=ever_after)
        assert exit_code in {DONE, REFUSED, INDETERMINATE, NOT_REACHED, -signal.SIGKILL}, (
            f"{where}: exit code {exit_code}"
        )
        check_result(models, exit_code, where, ever_after)
        if exit_code == NOT_REACHED:
            break
    return number - step


def roll_back(models):
    versions.rollback(models, reason="a test")


def check_rollback(models, exit_code, where, ever_after):
    """Either the newest version is served, or the previous one and there is a hold."""
    after = served_seed(models)
    hold = versions.held(models)
    assert after in {2, 3}, f"{where}: served is {after}"
    if exit_code in {DONE, NOT_REACHED} or (exit_code == INDETERMINATE and not ever_after):
        assert after == 2, f"{where}: rolled back, but the newest version is served"
    if exit_code == REFUSED:
        assert after == 3, f"{where}: refused, but rolled back"
    assert (hold is not None) == (after == 2), f"{where}: {hold} after a rollback to {after}"
    assert versions.release(models) == hold
    assert len(versions.list_versions(models)) == 4
    assert litter(models) == [], where


def clean(models):
    versions.gc(models, keep=1)


def check_gc(models, exit_code, where, ever_after):
    """The remaining versions are complete, and the next gc removes the rest."""
    assert served_seed(models) == 3, where
    left = versions.list_versions(models)
    for version in left:
        versions.verify(models, version.id)
    assert {3, 4} <= {version.generation for version in left}, where
    if exit_code == NOT_REACHED:
        assert len(left) == 2, where
    if exit_code == DONE:
        assert litter(models) == [], where
    clean(models)
    assert [version.generation for version in versions.list_versions(models)] == [3, 4], where
    assert litter(models) == [], where


def names_in(folder):
    return {path.name for path in folder.iterdir()}


class Seeds(list):
    """The seeds that threads have loaded so far."""

    def __init__(self):
        self.grown = threading.Condition()

    def append(self, seed):
        with self.grown:
            super().append(seed)
            self.grown.notify_all()

    def wait_for(self, seed):
        """Wait until a thread has loaded this seed."""
        with self.grown:
            assert self.grown.wait_for(lambda: seed in self, timeout=HANGING)


@contextlib.contextmanager
def loaded_meanwhile(models):
    """Let two threads load the served version repeatedly; yield the ``Seeds`` that they loaded."""
    loaded, failed, ended = Seeds(), [], threading.Event()

    def read():
        while not ended.is_set():
            try:
                loaded.append(served_seed(models))
            except BaseException as error:
                failed.append(error)
                raise

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        yield loaded
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert failed == []
