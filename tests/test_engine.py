"""The engine joins the published model and the store."""

import json
import shutil
from datetime import datetime

import pytest
from faults.promoted import heard, shared_model

from item2vec import Engine, Interactions, Items, Recommender, adapters, publish, train
from item2vec.errors import BundleNotFoundError, SchemaError
from item2vec.store import Store
from item2vec.versions import current

GENRES = {"a": "jazz", "b": "jazz", "c": "rock", "d": "rock", "e": "rock"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    url = f"sqlite:///{folder}/item2vec.db"
    users = [f"u{number}" for number in range(20) for _ in range(3)]
    items = [item for number in range(20) for item in ("abc", "bcd", "cde", "dea")[number % 4]]
    listens = Interactions.of(user=users, item=items, timestamp=list(range(60)))
    with Store(url) as store:
        store.upgrade()
        store.ingest(listens)
        store.ingest_items(Items.of({item: {"genre": genre} for item, genre in GENRES.items()}))
        store.ingest(Interactions.of(user=["stranger"], item=["unheard-of"], timestamp=[0]))
        vectors = train(adapters.histories(listens), vector_size=8, workers=1)
    publish(Recommender(vectors), folder / "models")
    return {"models": folder / "models", "store": url}


def test_a_user_gets_what_the_model_says_of_their_history(places):
    with Engine(**places) as engine:
        assert engine.recommend(user="u0", k=10) == engine.model.recommend(["a", "b", "c"], k=10)
        assert {one.item for one in engine.recommend("u0", filter_seen=False)} == set("abcde")


def test_attributes_filter_and_lists_of_them_combine(places):
    with Engine(**places) as engine:
        found = engine.recommend(user="u3", where={"genre": "jazz"}, k=10)
        assert {one.item for one in found} == {"b"}
        assert engine.recommend(user="u3", where={"genre": ["jazz", "rock"]}, deny=["b"], k=10) == [
            one for one in engine.recommend(user="u3", k=10) if one.item != "b"
        ]
        assert engine.recommend(user="u3", where={"genre": "jazz"}, allow=["c"]) == []
        assert engine.recommend(user="u3", where={"genre": "polka"}) == []


@pytest.mark.parametrize("user", ["nobody", "stranger"])
def test_the_unknown_get_what_is_popular(places, user):
    with Engine(**places) as engine:
        found = engine.recommend(user=user, k=3)
        assert [one.source for one in found] == ["popular"] * 3
        assert [one.item for one in found] == [one.item for one in engine.model.recommend([], k=3)]


def test_an_item_taken_out_is_never_returned(places):
    with Engine(**places) as engine:
        engine.store.deactivate_items(["d"])
        assert "d" not in {one.item for one in engine.recommend(user="u0", k=10)}
        assert "d" not in {one.item for one in engine.recommend(user="nobody", k=10)}
        engine.store.activate_items(["d"])
        assert "d" in {one.item for one in engine.recommend(user="u0", k=10)}


def test_a_new_version_is_taken_by_itself_and_a_damaged_one_is_told(places, tmp_path):
    models = shutil.copytree(places["models"], tmp_path / "models")
    with heard() as (_, wait_for), Engine(models=models, store=places["store"], reload_every=0.005) as engine:
        first = engine.status()
        version = publish(shared_model(1, n_items=20), models)
        wait_for(f"now serving {version.id}")
        status = engine.status()
        assert engine.version == status["version"] == version.id != first["version"]
        assert (first["generation"], status["generation"], status["failure"]) == (1, 2, None)
        assert datetime.fromisoformat(first["loaded_at"]) < datetime.fromisoformat(status["loaded_at"])
        assert engine.recommend("u0", k=3) == shared_model(1, n_items=20).recommend([], k=3)
        (models / "CURRENT").unlink()
        wait_for("still serving")
        failure = json.loads(json.dumps(engine.status()))["failure"]
        assert "nothing is published" in failure["text"]
        assert datetime.fromisoformat(failure["since"]).tzinfo
        assert len(engine.recommend("u0", k=3)) == 3


def test_without_a_pause_the_model_stays_and_a_bundle_has_no_version(places, tmp_path):
    with Engine(**places, reload_every=None) as engine:
        model, version = engine.model, engine.version
        engine.model.save(tmp_path / "bundle")
        assert version == current(places["models"]).id
        assert engine.model is model
    with Engine(models=tmp_path / "bundle", store=places["store"]) as engine:
        status = engine.status()
        assert (engine.version, status["version"], status["generation"]) == (None, None, None)
        assert engine.recommend("u0", k=10) == model.recommend(["a", "b", "c"], k=10)


def test_missing_parts_are_told_with_the_next_step(places, tmp_path):
    with pytest.raises(BundleNotFoundError, match="item2vec train"):
        Engine(models=tmp_path / "none", store=places["store"])
    with pytest.raises(SchemaError, match="item2vec db upgrade"):
        Engine(models=places["models"], store=f"sqlite:///{tmp_path}/empty.db")
