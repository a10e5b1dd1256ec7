"""How the service opens its engine: errors of any type are named, logged once per cause, and tried again."""

import logging
import threading

import pytest
from faults.child import HANGING
from services import is_problem, wait_until_ready
from starlette.testclient import TestClient

from item2vec import Engine
from item2vec.errors import StoreError
from item2vec.service import Serving, create_app


class Attempts:
    """Attempts to open an engine; they fail with the error that was set last, unless it is ``None``."""

    def __init__(self):
        self.closed = []
        self.set(None)

    def set(self, error):
        self._state = error, threading.Semaphore(0)

    def fail(self):
        error, failed = self._state
        if error is not None:
            failed.release()
            raise error

    def wait_for(self, n):
        for _ in range(n):
            assert self._state[1].acquire(timeout=HANGING)


@pytest.fixture
def attempts(monkeypatch):
    attempts = Attempts()

    class Failing(Engine):
        def view(self):
            attempts.fail()
            return super().view()

        def close(self):
            attempts.closed.append(self)
            super().close()

    monkeypatch.setattr("item2vec.service.serving.Engine", Failing)
    monkeypatch.setattr("item2vec.service.serving.RETRY_SECONDS", 0.01)
    return attempts


@pytest.mark.parametrize("error", [MemoryError(), OSError("no file"), KeyError("bug"), StoreError("down")])
def test_after_an_error_of_any_type_the_engine_is_opened_again(served, attempts, caplog, error):
    kind = type(error).__name__
    attempts.set(error)
    app = create_app(Serving(f"{served}/models", None))
    caplog.set_level(logging.WARNING, "item2vec.service.serving")
    with TestClient(app, raise_server_exceptions=False) as client:
        attempts.wait_for(3)
        problem = is_problem(client.get("/readyz"), 503)
        assert problem["detail"].startswith(f"no model is loaded: {kind}; ")
        attempts.set(OSError("another cause"))
        attempts.wait_for(3)
        attempts.set(None)
        wait_until_ready(client)
        assert len(attempts.closed) >= 6
    logged = [(record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert logged == [
        (f"no model is loaded yet: {kind}: {error}", kind != "StoreError"),  # a bug needs its traceback
        ("no model is loaded yet: OSError: another cause", True),
    ]
