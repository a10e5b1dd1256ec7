"""End to end, from a file to recommendations: every legal id is preserved."""

import json

import numpy as np
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from strategies import ids

import item2vec
from item2vec import adapters, readers
from item2vec.store import Store


@examples(5, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ids, min_size=15, max_size=30, unique=True), ids)
def test_ids_are_preserved_by_files_sql_sentences_training_bundle_and_engine(tmp_path_factory, items, user):
    folder = tmp_path_factory.mktemp("line")
    rows = [{"user_id": user, "item_id": item, "timestamp": 10 * n} for n, item in enumerate(items)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    url = f"sqlite:///{folder}/item2vec.db"
    with Store(url) as store:
        store.upgrade()
        store.ingest(readers.read_interactions(folder / "rows.jsonl"))
        sentences = adapters.histories(store.interactions())
        assert store.history(user).items == items
    assert list(sentences) == [items]
    sentences.save(folder / "sentences")
    opened = item2vec.Sentences.open(folder / "sentences")
    vectors = item2vec.train(opened, vector_size=4, epochs=1, workers=1)
    assert set(vectors.vocabulary.ids) == set(items)
    model = item2vec.Recommender(vectors)
    item2vec.publish(model, folder / "models")
    with item2vec.Engine(models=folder / "models", store=url) as engine:
        assert {entry.item for entry in engine.recommend(user, k=99, filter_seen=False)} == set(items)
        assert engine.recommend(user, k=99) == []
        for item in items:
            similar = engine.model.similar_items(item, k=99)
            assert {entry.item for entry in similar} == set(items) - {item}
            assert similar == model.similar_items(item, k=99)
    vectors.save_word2vec(folder / "vectors.txt")
    back = item2vec.ItemVectors.load_word2vec(folder / "vectors.txt")
    assert back.vocabulary.ids == vectors.vocabulary.ids
    assert np.array_equal(back.input, vectors.input)
