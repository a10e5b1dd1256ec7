"""Kill a publish, or fail it, at its n-th operation on the file system, n = 1, 2, … Runs in a child process.

Operations are counted in Python, so that this needs no debugger; ``test_publish_strace.py`` counts the system
calls themselves.
"""

import errno
import os
import signal
import traceback
from itertools import count

from faults.made import made_model, made_vectors

import item2vec
from item2vec import versions
from item2vec.errors import DurabilityError, Item2VecError

COUNTED = ("fchmod", "fsync", "listdir", "mkdir", "open", "rename", "replace", "rmdir", "scandir", "unlink")
PUBLISHED, REFUSED, INDETERMINATE, UNTYPED, NOT_REACHED = range(10, 15)


def at_operation(number, act, *, ever_after=False):
    """From now on, call ``act`` before the operation of this number; return how many were seen so far."""
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


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number):
    def act():
        raise OSError(number, os.strerror(number))

    return act


def outcome_of_publish(model, models, number, act, ever_after):
    """Publish in a fork of this process, with a fault; return how it ended."""
    pid = os.fork()
    if pid == 0:
        seen = at_operation(number, act, ever_after=ever_after)
        try:
            item2vec.publish(model, models)
            os._exit(PUBLISHED if seen[0] >= number else NOT_REACHED)
        except DurabilityError:
            os._exit(INDETERMINATE)
        except Item2VecError:
            os._exit(REFUSED)
        except BaseException:  # noqa: BLE001 - a fork must not go on as if it were its parent
            traceback.print_exc()
            os._exit(UNTYPED)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def served_seed(models):
    """Load what is served, look at all of it, and return the seed that it was made from."""
    model = item2vec.load(models)
    seed = model.vectors.config.seed
    expected = made_vectors(seed=seed)
    assert model.vectors.vocabulary == expected.vocabulary
    assert (model.vectors.input == expected.input).all()
    assert (model.vectors.output == expected.output).all()
    return seed


def litter(models):
    """What is in a models folder that is neither needed nor was ever served."""
    expected = {"CURRENT", "LOCK", "staging", "versions"}
    found = [path for path in models.iterdir() if path.name not in expected]
    return found + list((models / "staging").iterdir())


def check(models, publish, where, *, ever_after=False):
    """Publish with a fault, and look at what is served before and after; return how it ended.

    ``publish`` takes the seed of the model to publish: of two, the one that is not served.
    """
    before = served_seed(models)
    kept = names_in(models / "versions")
    ended = publish(1 - before)
    after = served_seed(models)
    assert ended in {PUBLISHED, REFUSED, INDETERMINATE, NOT_REACHED, -signal.SIGKILL}, (
        f"{where}: ended {ended}"
    )
    if ended in {PUBLISHED, NOT_REACHED} or (ended == INDETERMINATE and not ever_after):
        assert after == 1 - before, f"{where}: published, and yet the old one is served"
    if ended == REFUSED:
        assert after == before, f"{where}: refused, and yet the new one is served"
    if ended == REFUSED and not ever_after:
        assert names_in(models / "versions") == kept, f"{where}: a version was left that was never served"
    return ended


def check_recovery(models):
    """Publish without a fault; nothing of all the faults before may be left."""
    item2vec.publish(made_model(), models)
    assert litter(models) == []
    generations = [version.generation for version in versions.list_versions(models)]
    assert generations == list(range(1, versions.current(models).generation + 1))


def every_fault(models, kind, first, step):
    """Go through the operations ``first, first + step, …`` until there is none; return the last."""
    act = kill if kind == "kill" else fail(errno.ENOSPC if "ENOSPC" in kind else errno.EIO)
    made = [made_model(seed=seed) for seed in (0, 1)]
    item2vec.publish(made[0], models)
    for number in count(first, step):

        def publish(seed, number=number):
            return outcome_of_publish(made[seed], models, number, act, "ever" in kind)

        if check(models, publish, f"{kind} at operation {number}", ever_after="ever" in kind) == NOT_REACHED:
            break
    check_recovery(models)
    return number - step


def names_in(folder):
    return {path.name for path in folder.iterdir()}
