"""Attributes in training: encoding, vectors as sums, new items, settings, bundles and the command line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Items, NextItem, Sentences, TrainConfig, Vocabulary, fit, load, train, tune
from item2vec.errors import ConfigError, InputError, InputTypeError
from item2vec.matrices import unit_rows
from item2vec.retraining.health import measure_health
from item2vec.training import _trainer
from item2vec.training.attributes import ItemAttributes
from item2vec.training.corpus import prepare
from item2vec.training.epochs import run_epochs

SMALL = {"vector_size": 24, "epochs": 6, "workers": 1, "seed": 3}
GENRES = ("jazz", "soul", "folk")
SONGS = {f"{genre}{n}": {"genre": genre, "mood": ["calm", genre[0]]} for genre in GENRES for n in range(8)}
NEW = {f"{genre}-new": {"genre": genre} for genre in GENRES}
CATALOGUE = Items.of({**SONGS, **NEW, "polka": {"genre": "polka"}, "plain": {}})


def listened(n=150, genres=GENRES):
    """Return histories of one genre each."""
    random = np.random.default_rng(0)
    return Sentences.of([[f"{genres[i % len(genres)]}{n}" for n in random.permutation(8)] for i in range(n)])


def expected_codes(rows, names, trained):
    """Return the attributes of trained and new items as sets of (name, value), without those left out."""
    values = {
        item: {
            (name, value)
            for name in names
            for value in (row[name] if isinstance(row.get(name), list) else [row.get(name)])
            if value is not None
        }
        for item, row in rows.items()
    }
    pairs = [(pair, item) for item, own in values.items() for pair in own]
    kept = {
        pair
        for pair, _ in pairs
        if sum(pair == other for other, _ in pairs) >= 2
        and any(pair == other and item in trained for other, item in pairs)
    }
    new = [item for item in rows if item not in trained and values[item] & kept]
    return [values.get(item, set()) & kept for item in (*trained, *new)], new


# --- encoding --------------------------------------------------------------------------------------

rows = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.fixed_dictionaries(
        {},
        optional={
            "brand": st.sampled_from(["x", "y", 1, None]),
            "tags": st.lists(st.sampled_from(["x", "y", "z", 1, None]), max_size=4),
        },
    ),
    max_size=8,
)


@given(rows, st.permutations("abcdefgh"), st.integers(1, 8))
def test_encoding_equals_sets_of_values(rows, order, n_trained):
    rows = {"first": {"brand": "x", "tags": ["x", "x"]}, **rows}
    trained = Vocabulary(tuple(order[:n_trained]))
    encoded = ItemAttributes.of(Items.of(rows), ["brand", "tags"], trained)
    expected, new = expected_codes(rows, ["brand", "tags"], trained.ids)
    found = [encoded.codes[a:b].tolist() for a, b in zip(encoded.offsets, encoded.offsets[1:], strict=False)]
    assert list(encoded.new_items) == new
    assert all(codes == sorted(set(codes)) for codes in found)
    assert list(map(len, found)) == list(map(len, expected))
    pair_of = {}
    for codes, pairs in zip(found, expected, strict=True):
        for code in codes:
            pair_of[code] = pair_of.get(code, pairs) & pairs
    assert sorted(pair_of) == list(range(encoded.n))
    assert all(pair_of.values()), "a code stands for one value"


def test_a_number_is_a_category():
    items = Items.of({"a": {"year": 1983}, "b": {"year": 1983.0}, "c": {"year": 1959}, "d": {"year": 1959}})
    encoded = ItemAttributes.of(items, ["year"], Vocabulary(("d", "c", "b", "a")))
    assert encoded.codes.tolist() == [0, 0, 1, 1]


# --- vectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"similarity": "inner"}, {"tied": 3}, {"attributes_only": 0.5}])
def test_vectors_are_sums_of_own_vectors_and_vectors_of_attributes(settings):
    config = NextItem(attributes=("genre", "mood"), **SMALL, **settings)
    corpus = prepare(listened(), config)
    trainer = _trainer(corpus, config, CATALOGUE)
    vectors = run_epochs(trainer, corpus, config, None, None)
    encoded = trainer._attributes
    has = np.zeros((len(encoded.offsets) - 1, encoded.n))
    has[np.repeat(np.arange(len(has)), np.diff(encoded.offsets)), encoded.codes] = 1

    def sums(own, shared):
        own = np.concatenate((own, np.zeros((len(has) - len(own), *own.shape[1:]))))
        return own + np.einsum("ia,apd->ipd", has, shared)

    input_, output = (
        sums(trainer._input, trainer._shared_input),
        sums(trainer._output, trainer._shared_output),
    )
    output[:, : config.tied] = input_[:, : config.tied]
    if config.similarity == "cosine":
        output = np.stack([unit_rows(part) for part in output.transpose(1, 0, 2)], axis=1)
    assert vectors.vocabulary.ids == (*corpus.vocabulary.ids, *NEW)
    np.testing.assert_allclose(vectors.input, input_.reshape(vectors.input.shape), atol=1e-5)
    np.testing.assert_allclose(vectors.output, output.reshape(vectors.input.shape), atol=1e-5)


def test_attributes_of_no_use_change_no_bit():
    """Items alone change nothing, and neither do attributes whose values have one item each."""
    plain = train(listened(), **SMALL)
    ids = Items.of({item: {"sku": item} for item in SONGS})
    for how in ({"items": CATALOGUE}, {"items": ids, "attributes": ["sku"]}):
        vectors = train(listened(), **how, **SMALL)
        assert vectors.vocabulary.ids == plain.vocabulary.ids
        assert vectors.input.tobytes() == plain.input.tobytes()
        assert vectors.output.tobytes() == plain.output.tobytes()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_up_to_one_worker_per_part_gives_the_same_bytes(workers):
    how = {"items": CATALOGUE, "attributes": ["genre", "mood"], "attributes_only": 0.2}
    one = train(listened(), **how, **SMALL)
    other = train(listened(), **how, **(SMALL | {"workers": workers}))
    assert other.input.tobytes() == one.input.tobytes()
    assert other.output.tobytes() == one.output.tobytes()
    assert not np.array_equal(one.input[:24], train(listened(), **SMALL).input)


def test_an_item_that_ends_every_sentence_has_the_input_vector_of_its_attributes():
    lists = [[f"jazz{n}" for n in np.random.default_rng(i).permutation(7)] + ["jazz7"] for i in range(60)]
    vectors = train(Sentences.of(lists), items=CATALOGUE, attributes=["genre"], tied=0, **SMALL)
    np.testing.assert_array_equal(vectors["jazz7"], vectors["jazz-new"])
    assert vectors["jazz7"].any()
    assert not train(Sentences.of(lists), tied=0, **SMALL)["jazz7"].any()


def test_the_best_epoch_includes_its_new_items():
    validation = listened(30)
    how = {"items": CATALOGUE, "attributes": ["genre"], "validation": validation}
    vectors = train(listened(), **how, patience=1, **(SMALL | {"epochs": 30}))
    best = max(vectors.curve, key=lambda epoch: epoch.ndcg).epoch
    snapshots = {}
    train(listened(), **how, after_epoch=snapshots.__setitem__, **(SMALL | {"epochs": 30}))
    known = slice(0, len(snapshots[best]))
    np.testing.assert_array_equal(vectors.input[known], snapshots[best].input)
    assert vectors.vocabulary.ids[known.stop :] == tuple(NEW)
    assert np.isfinite(vectors.input).all()


# --- new items -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    settings = SMALL | {"epochs": 20}
    return fit(listened(300), items=CATALOGUE, attributes=["genre"], attributes_only=0.1, **settings)


def test_a_new_item_has_a_row_and_no_count(model):
    vectors = model.vectors
    assert [item for item in CATALOGUE.vocabulary.ids if item not in vectors] == ["polka", "plain"]
    assert vectors.vocabulary.ids[-3:] == tuple(NEW)
    assert vectors.counts[-3:].tolist() == [0, 0, 0]
    assert vectors.counts[:-3].all()


@pytest.mark.parametrize("genre", GENRES)
def test_a_new_item_is_recommended_and_queried(model, genre):
    new = f"{genre}-new"
    recommended = [each.item for each in model.recommend([f"{genre}{n}" for n in range(4)], k=5)]
    assert set(recommended) == {f"{genre}{n}" for n in range(4, 8)} | {new}
    assert {each.source for each in model.recommend([f"{genre}0"], allow=[new])} == {"attributes"}
    assert {each.item[:4] for each in model.recommend([new], k=8)} == {genre}
    assert {each.item[:4] for each in model.similar_items(new, k=8)} == {genre}
    assert [share.item for share in model.explain([new], f"{genre}0")] == [new]


def test_new_items_are_the_least_popular(model):
    popular = model.recommend([], k=len(model.vectors))
    assert {each.item for each in popular[-3:]} == set(NEW)
    assert {each.source for each in popular} == {"popular"}


def test_a_bundle_keeps_new_items(model, tmp_path):
    model.save(tmp_path / "bundle")
    loaded = load(tmp_path / "bundle")
    assert loaded.vectors.config.attributes == ("genre",)
    assert loaded.vectors.counts.tolist() == model.vectors.counts.tolist()
    assert loaded.recommend(["jazz-new"], k=5) == model.recommend(["jazz-new"], k=5)


def test_equal_vectors_of_new_items_are_no_sign_of_bad_health():
    copies = {f"copy{n}": {"genre": "jazz"} for n in range(30)}
    items = Items.of({**SONGS, **copies})
    health = measure_health(fit(listened(), items=items, attributes=["genre"], **SMALL))
    assert health.n_items == 24 + 30
    assert health.duplicate_share == 0
    assert health.self_retrieval == 1


def test_priors_and_mixtures_have_rows_for_new_items():
    added = {"popularity": 0.1, "mixture": 0.5}
    mixed = fit(listened(), items=CATALOGUE, attributes=["genre"], **added, **SMALL)
    assert mixed.prior[-3:].tolist() == [0, 0, 0]
    assert len(mixed.recommend(["jazz-new", "jazz0"], k=10)) == 10


def test_a_warm_start_continues_with_attributes():
    first = train(listened(), **SMALL)
    vectors = train(listened(), start=first, items=CATALOGUE, attributes=["genre"], **SMALL)
    again = train(listened(), start=vectors, items=CATALOGUE, attributes=["genre"], **SMALL)
    assert vectors.vocabulary.ids == again.vocabulary.ids


# --- settings --------------------------------------------------------------------------------------


def test_attributes_need_items_and_known_names():
    with pytest.raises(ConfigError, match=r"attributes=\['genre'\] needs items .*; pass items="):
        train(listened(), attributes=["genre"])
    with pytest.raises(InputError, match="no item has an attribute 'gener'; did you mean 'genre'"):
        train(listened(), items=CATALOGUE, attributes=["gener"])
    with pytest.raises(InputTypeError, match=r"items is .*; expected Items"):
        train(listened(), items={"a": {"genre": "jazz"}}, attributes=["genre"])


def test_attributes_are_a_setting_of_next_item():
    message = "attributes is a setting of objective='next_item', not of 'skipgram'"
    with pytest.raises(ConfigError, match=message):
        train(listened(), items=CATALOGUE, attributes=["genre"], objective="skipgram")
    assert TrainConfig(attributes="brand,category").attributes == ("brand", "category")


def test_tuning_trains_with_attributes():
    fixed = {"objective": "next_item", "attributes": ["genre"], **SMALL}
    del fixed["workers"], fixed["seed"]
    tuning = tune(listened(60), items=CATALOGUE, trials=1, jobs=1, **fixed)
    assert tuning.config.train.attributes == ("genre",)
    assert tuning.trials[0].state == "complete"


def test_train_reads_attributes_from_the_items_file(item2vec, tmp_path):
    (tmp_path / "lists.txt").write_text("\n".join(" ".join(songs) for songs in listened(60)))
    lines = [f"{item},{row['genre']}" for item, row in (SONGS | NEW).items()]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,genre", *lines]))
    words = ["train", "--playlists", "lists.txt", "--epochs", "2", "--vector-size", "24"]
    code, _, errors = item2vec(*words, "--items", "items.csv", "--attributes", "genre")
    assert code == 0, errors
    assert load(tmp_path / "models").vectors.vocabulary.ids[-3:] == tuple(NEW)
    code, _, errors = item2vec(*words, "--attributes", "genre")
    assert code == 2
    assert "needs items with these attributes; pass --items" in errors
