"""A small shop for tests of the service: a store, and a models folder with one version."""

from item2vec import Recommender, adapters, publish, readers, train
from item2vec.store import Store


def open_shop(folder, n_items):
    """Fill ``item2vec.db`` and ``models`` with the listens of ``n_items`` songs, and return the model."""
    listens = readers.read_interactions("sample_data/listens.csv.gz")
    listens = listens.take(listens.item < n_items)
    songs = readers.read_items("sample_data/items.csv")
    with Store(f"sqlite:///{folder}/item2vec.db") as store:
        store.upgrade()
        store.ingest(listens)
        store.ingest_items(songs)
    sentences = adapters.histories(listens)
    small = {"vector_size": 16, "epochs": 2, "workers": 1, "objective": "skipgram", "backend": "numba"}
    model = Recommender(train(sentences, **small), items=songs)
    publish(model, folder / "models")
    return model
