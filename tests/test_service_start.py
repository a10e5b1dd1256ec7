"""The start of ``serve``: without a store, with a store that has no schema, and stopped by a signal."""

import importlib
import signal
import weakref

import pytest
from services import is_problem, wait_for_answer
from starlette.testclient import TestClient

from item2vec.service import Serving, create_app, server


@pytest.fixture
def store_of(item2vec, monkeypatch):
    """Return a function that returns the store with which ``serve`` starts the server, and its log."""
    started = []
    monkeypatch.setattr(
        importlib.import_module("item2vec.cli.serve"), "start", lambda **settings: started.append(settings)
    )

    def store_of(*words):
        code, _, err = item2vec("serve", *words)
        assert code == 0, err
        return started[-1]["store"], err

    return store_of


def test_without_a_store_in_the_folder_serve_has_no_store(store_of, tmp_path, monkeypatch):
    default = "sqlite:///item2vec.db"
    assert store_of()[0] is None
    assert store_of("--store", default)[0] == default  # given, so that a missing file is an error
    monkeypatch.setenv("ITEM2VEC_STORE", default)
    assert store_of()[0] == default
    monkeypatch.delenv("ITEM2VEC_STORE")
    (tmp_path / "item2vec.toml").write_text('store = "sqlite:///other.db"')
    assert store_of()[0] == "sqlite:///other.db"
    (tmp_path / "item2vec.toml").unlink()
    (tmp_path / "item2vec.db").touch()
    assert store_of()[0] == default


def test_an_error_of_a_store_without_schema_names_the_command(served, tmp_path):
    app = create_app(Serving(f"{served}/models", f"sqlite:///{tmp_path}/none.db"))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_for_answer(client, "/readyz", lambda answer: "db upgrade" in answer["detail"])
        event = {"events": [{"user": "u", "item": "i"}]}
        for answer in (
            client.post("/v1/events", json=event),
            client.put("/v1/items/i", json={}),
            client.get("/v1/items/i"),
            client.get("/v1/runs"),
        ):
            detail = is_problem(answer, 503)["detail"]
            assert "no schema" in detail
            assert "item2vec db upgrade" in detail
    assert not (tmp_path / "none.db").exists()


@pytest.fixture
def handlers():
    """Restore the handlers of signals."""
    before = {number: signal.getsignal(number) for number in server.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_python_swallows_stops_the_start(item2vec, monkeypatch):
    served = []

    def application(_):
        value = {1}
        _ref = weakref.ref(value, lambda _: signal.raise_signal(signal.SIGTERM))
        del value

    monkeypatch.setattr(server, "application", application)
    monkeypatch.setattr(server, "_serve", lambda *_: served.append(True))
    code, out, err = item2vec("serve", "--port", "0")
    assert (code, out, served) == (1, "", [])
    assert "stopped by SIGTERM" in err


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", server.SIGNALS)
def test_a_signal_just_before_the_loop_runs_ends_the_server(monkeypatch, number):
    class Signalled(server._Server):
        def run(self, sockets):
            signal.raise_signal(number)
            assert self.should_exit
            super().run(sockets)

    async def application(_scope, _receive, _send): ...

    monkeypatch.setattr(server, "_Server", Signalled)
    with server._listening("127.0.0.1", 0) as listener:
        server._serve(application, listener)
