"""A model with an approximate index of output vectors has one of unit input vectors for similar items."""

import dataclasses
import json
import mmap
import shutil

import numpy as np
import pytest
from faults.made import made_model, made_vectors

import item2vec
from item2vec import Items, ItemVectors, Recommender, Vocabulary, bundle
from item2vec.bundle.manifest import KNOWN_FEATURES, SIMILAR
from item2vec.errors import ConfigError, CorruptBundleError
from item2vec.index import build
from item2vec.index.faiss import FaissIndex
from item2vec.retraining.health import measure_health
from item2vec.versions.rollbacks import artefact_digest

N, K, RECALL = 12_000, 10, 0.95
RANKS = np.random.default_rng(6).random(N)
FILES = {"similar_groups.npy", "similar_index.faiss", "unit_input.npy"}
RULES = {  # rules, and the upper bound of the ranks of the items that they admit
    "none": ({}, 1),
    "where": ({"where": {"half": True}}, 0.5),
    "narrow": ({"where": {"rank": {"<": 0.002}}}, 0.002),
    "popularity": ({"popularity": 0.01}, 1),
}


@pytest.fixture(scope="module")
def made():
    """A model of many items, with output scores and a FAISS index. The last item has no input vector."""
    random = np.random.default_rng(5)
    rows, output = random.normal(size=(2, N, 8)).astype(np.float32)
    rows[-1] = 0
    ids = tuple(f"i{row}" for row in range(N))
    rows_of_items = zip(ids, RANKS.tolist(), strict=True)
    songs = Items.of({item: {"half": rank < 0.5, "rank": rank} for item, rank in rows_of_items})
    vectors = ItemVectors(Vocabulary(ids), rows, output, np.arange(N, 0, -1))
    return Recommender(vectors, score="output", index="faiss", recall=RECALL, items=songs)


@pytest.fixture(scope="module")
def saved(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("similar") / "songs"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(saved):
    return item2vec.load(saved)


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def is_mapped(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@pytest.mark.parametrize(("rules", "bound"), RULES.values(), ids=RULES)
def test_similar_items_have_the_promised_recall_under_filters(loaded, rules, bound):
    assert (loaded.index.kind, loaded.parts.similar_index.kind) == ("faiss", "faiss")
    vectors, hits = loaded.vectors, []
    units = vectors.input / np.maximum(np.linalg.norm(vectors.input, axis=1), 1e-9)[:, None]
    for row in range(0, N, N // 40):
        scores = units @ units[row] + rules.get("popularity", 0) * np.log1p(vectors.counts)
        scores[(bound <= RANKS) | (np.arange(N) == row)] = -np.inf
        found = loaded.similar_items(f"i{row}", k=K, **rules)
        rows = vectors.vocabulary.encode([one.item for one in found])
        assert len(set(rows.tolist())) == K
        assert [one.score for one in found] == pytest.approx(scores[rows], abs=1e-5)
        hits.append(np.mean(scores[rows] >= np.sort(scores)[-K]))
    assert np.mean(hits) >= RECALL


def test_queries_by_item_search_the_graph(loaded, monkeypatch):
    searched, candidates = [], FaissIndex.candidates

    def recorded(index, *arguments):
        searched.append(index)
        return candidates(index, *arguments)

    monkeypatch.setattr(FaissIndex, "candidates", recorded)
    loaded.similar_items("i3")
    loaded.analogy(positive=["i3", "i4"], negative=["i5"])
    loaded.nearest(loaded.vectors.input[3])
    index = loaded.parts.similar_index
    assert len(searched) >= 3
    assert {id(one) for one in searched} == {id(index)}
    assert 3 in index.candidates(index.matrix[3], K, N).tolist()  # not a scan


def test_the_unit_vectors_are_mapped(loaded):
    index = loaded.parts.similar_index
    assert is_mapped(index.matrix)
    assert is_mapped(loaded.vectors.unit_input)
    assert np.shares_memory(index.matrix, loaded.vectors.unit_input)
    assert loaded.parts.exact.similar_index.matrix is index.matrix


def test_a_loaded_model_answers_like_the_built_one(made, loaded):
    triples = [[f"i{row + step}" for step in range(3)] for row in range(0, 60, 3)]
    queries = [{"positive": triple[:2], "negative": triple[2:]} for triple in triples]
    answers = [[model.analogy(**query, k=K) for query in queries] for model in (made, loaded)]
    assert answers[0] == answers[1]
    without_input = loaded.similar_items(f"i{N - 1}", k=K)  # compared by output vectors
    assert without_input == made.exact.similar_items(f"i{N - 1}", k=K)
    assert loaded.nearest(loaded.vectors.input[7], k=1)[0].item == "i7"


def test_a_new_item_is_among_the_similar_items(loaded, tmp_path):
    plain = Recommender.from_parts(dataclasses.replace(loaded.parts, items=None))
    newer = plain.with_items(Items.of({"new": {}}), together={"new": ["i1"]})
    assert [one.item for one in newer.similar_items("i1", k=1)] == ["new"]
    assert newer.similar_items("new", k=1)[0].item == "i1"
    assert newer.parts.similar_index.kind == "faiss"
    newer.save(tmp_path / "newer")
    assert item2vec.load(tmp_path / "newer").similar_items("i1", k=1)[0].item == "new"
    assert not SIMILAR & {file.name for file in (tmp_path / "newer").iterdir()}  # saved with exact indexes


def test_exact_models_have_no_index_of_unit_vectors(tmp_path):
    for score, index in (("output", "auto"), ("output", "exact"), ("cosine", "faiss")):
        model = made_model(score=score, index=index)
        assert model.parts.similar_index is None
        path = tmp_path / f"{score}-{index}"
        model.save(path)
        assert not SIMILAR & {file.name for file in path.iterdir()}
        assert "similar_index" not in json.loads((path / "manifest.json").read_text())
    assert made_model(index="annoy").parts.similar_index.kind == "annoy"


def test_a_bundle_without_the_index_is_read_and_scanned(made, tmp_path):
    manifest = bundle.write(dataclasses.replace(made.parts, similar_index=None), tmp_path / "older")
    assert "similar" not in manifest.features
    older = item2vec.load(tmp_path / "older")
    assert older.parts.similar_index is None
    assert older.similar_items("i5", k=K) == made.exact.similar_items("i5", k=K)


def test_the_files_are_listed_and_are_no_part_of_the_digest_of_a_model(made, saved, tmp_path):
    manifest = bundle.verify(saved)
    assert manifest.files.keys() >= FILES
    assert manifest.features == ("faiss", "similar")
    older = bundle.write(dataclasses.replace(made.parts, similar_index=None), tmp_path / "older")
    assert artefact_digest(manifest) == artefact_digest(older)


def test_an_older_release_recommends_an_upgrade(saved, monkeypatch):
    monkeypatch.setattr("item2vec.bundle.manifest.KNOWN_FEATURES", KNOWN_FEATURES - {"similar"})
    with pytest.raises(CorruptBundleError, match=r"requires \['similar'\]; upgrade item2vec"):
        bundle.read(saved)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_damaged_file_is_detected(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[-5] ^= 1
    (copied / name).chmod(0o644)
    (copied / name).write_bytes(content)
    with pytest.raises(CorruptBundleError, match=f"{name} is damaged"):
        bundle.verify(copied)


def test_unit_vectors_of_another_model_are_refused(made, tmp_path):
    units = made_vectors(N, 8, seed=1).unit_input
    similar = build(units, kind="exact")
    with pytest.raises(CorruptBundleError, match=r"unit_input.npy contains other vectors"):
        bundle.write(dataclasses.replace(made.parts, similar_index=similar), tmp_path / "songs")
    with pytest.raises(ConfigError, match="the rows of similar_index have shape"):
        dataclasses.replace(made.parts, similar_index=build(units[:9], kind="exact"))


def test_an_index_of_other_vectors_is_detected(made):
    assert measure_health(made).index_recall >= 0.9
    similar = dataclasses.replace(made.parts.similar_index, graph=made.index.graph)
    broken = measure_health(Recommender.from_parts(dataclasses.replace(made.parts, similar_index=similar)))
    assert broken.index_recall < 0.1
