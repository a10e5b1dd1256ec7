"""Actions of another user, in a child process."""

import os
import tempfile
import traceback
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def outside():
    """A temporary folder that every user may enter; those of pytest are private."""
    with tempfile.TemporaryDirectory(prefix="item2vec-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(action):
    """Return the result of an action, or the traceback of its error, in a process of another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            text = str(action())
        except BaseException:  # noqa: BLE001 - the parent process shows it
            text = traceback.format_exc()
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as output:
        text = output.read()
    os.waitpid(child, 0)
    return text
