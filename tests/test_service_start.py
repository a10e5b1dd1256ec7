"""The start of ``serve``: without a store, with a store that has no schema, and stopped by a signal."""

import importlib

import pytest
from services import is_problem, wait_for_answer
from starlette.testclient import TestClient

from item2vec.service import Serving, create_app


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
