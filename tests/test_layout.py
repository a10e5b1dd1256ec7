"""Layouts: positions of items on a plane, computed once at publishing and stored in the bundle."""

import base64
import gc
import json
import logging
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import item2vec
from item2vec import Items, ItemVectors, Recommender, Vocabulary, bundle, versions
from item2vec.bundle.layout import with_layout
from item2vec.catalogue import Catalogue
from item2vec.config import RetrainConfig
from item2vec.errors import ConfigError, CorruptBundleError, GateRefusedError, MissingExtraError
from item2vec.mapping import layout
from item2vec.mapping.components import components
from item2vec.mapping.positions import beside
from item2vec.service.explorer_data import Maps, map_data
from item2vec.view import View

pytestmark = pytest.mark.usefixtures("layouts_by_tsne")
N_CLUSTERS = 5


def vectors(n=100, size=8, seed=3):
    """Return ``n`` items in five clusters; the cluster of item i is i % 5."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(N_CLUSTERS, size))
    rows = centres[np.arange(n) % N_CLUSTERS] + 0.1 * random.normal(size=(n, size))
    return ItemVectors(Vocabulary(tuple(f"i{i}" for i in range(n))), rows, None, np.ones(n))


@pytest.fixture
def model():
    return Recommender(vectors(), index="exact")


def share_of_neighbours_in_cluster(positions):
    """Return how often the nearest item on the plane is of the same cluster."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.mean(distances.argmin(axis=1) % N_CLUSTERS == np.arange(len(positions)) % N_CLUSTERS)


def test_components_of_four_points_are_those_of_a_worked_example():
    rows = np.array([[3, 4], [-3, 4], [3, -4], [-3, -4]], dtype=np.float32)
    # The unit rows are (±0.6, ±0.8): the first axis is the second column.
    assert components(rows) == pytest.approx(np.array([[0.8, 0.6], [0.8, -0.6], [-0.8, 0.6], [-0.8, -0.6]]))


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_components_are_those_of_a_singular_value_decomposition(n, size, seed):
    rows = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    left, scales, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    expected = np.pad(left * scales, ((0, 0), (0, 1)))[:, :2]
    assert np.abs(components(rows)).sum(axis=0) == pytest.approx(np.abs(expected).sum(axis=0), abs=1e-3)


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_items_of_a_cluster_are_neighbours_on_the_plane(method):
    positions = layout(vectors(), method=method)
    assert share_of_neighbours_in_cluster(positions) > 0.9
    assert positions.dtype == np.float32
    assert (positions.min(), positions.max()) == pytest.approx((0, 1), abs=1e-6)


def test_equal_arguments_give_equal_positions():
    first, again, other = (layout(vectors(), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_items_that_are_no_landmarks_are_placed_in_their_cluster(monkeypatch):
    monkeypatch.setattr("item2vec.mapping.positions.LANDMARKS", 100)
    monkeypatch.setattr("item2vec.mapping.positions.BLOCK", 7)
    assert share_of_neighbours_in_cluster(layout(vectors(n=150))) > 0.9


def test_an_item_without_a_vector_has_no_position():
    some = vectors(n=10)
    rows = some.input.copy()
    rows[4] = 0
    positions = layout(ItemVectors(some.vocabulary, rows, None, some.counts))
    assert np.flatnonzero(np.isnan(positions).any(axis=1)).tolist() == [4]


def test_output_vectors_are_compared_if_fewer_are_missing():
    some = vectors(n=10)
    rows = some.input.copy()
    rows[4] = 0
    both = ItemVectors(some.vocabulary, rows, vectors(n=10, seed=4).input, some.counts)
    assert np.array_equal(layout(both), layout(vectors(n=10, seed=4)))


def test_an_unknown_method_is_an_error():
    with pytest.raises(ConfigError, match="method is 'mds'; expected one of tsne, umap, pca"):
        layout(vectors(), method="mds")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("umap", r"umap is not installed.*: pip install 'item2vec\[maps\]'"),
        ("tsne", r"openTSNE is not installed.*: pip install 'item2vec\[report\]'"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, method, message):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=message):
        layout(vectors(), method=method)


@pytest.mark.slow
def test_umap_places_items_of_a_cluster_together():
    assert share_of_neighbours_in_cluster(layout(vectors(), method="umap")) > 0.9


def test_publish_stores_a_layout_that_is_mapped(model, tmp_path):
    version = item2vec.publish(model, tmp_path)
    loaded = item2vec.load(tmp_path).parts.layout
    assert np.array_equal(loaded, layout(model.vectors))
    assert isinstance(loaded.base, np.memmap) or isinstance(loaded, np.memmap)
    assert "layout.npy" in versions.verify(tmp_path, version.id).files


def test_a_layout_is_computed_once(model, tmp_path, monkeypatch):
    item2vec.publish(model, tmp_path / "a")
    loaded = item2vec.load(tmp_path / "a")
    monkeypatch.setattr("item2vec.bundle.layout.layout", lambda *_, **__: pytest.fail("computed again"))
    item2vec.publish(loaded, tmp_path / "b")
    assert np.array_equal(item2vec.load(tmp_path / "b").parts.layout, loaded.parts.layout)


def test_a_layout_can_be_turned_off(model, tmp_path):
    version = item2vec.publish(model, tmp_path, layout=False)
    assert "layout.npy" not in versions.verify(tmp_path, version.id).files
    assert item2vec.load(tmp_path).parts.layout is None


@pytest.mark.parametrize("fault", [ValueError("no convergence"), MemoryError(), ImportError("no module")])
def test_a_failed_layout_does_not_prevent_a_publication(model, tmp_path, monkeypatch, caplog, fault):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr("item2vec.bundle.layout.layout", fail)
    with caplog.at_level(logging.WARNING):
        item2vec.publish(model, tmp_path)
    assert item2vec.load(tmp_path).parts.layout is None
    (record,) = [record for record in caplog.records if "without a layout" in record.message]
    assert type(fault).__name__ in record.facts["error"]


def test_a_catalogue_above_the_limit_is_published_without_a_layout(model, monkeypatch, caplog):
    monkeypatch.setattr("item2vec.bundle.layout.MAX_ITEMS", 99)
    assert with_layout(model.parts).layout is None
    assert "too many items" in caplog.text


def test_principal_components_are_used_without_opentsne(model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert np.array_equal(with_layout(model.parts).layout, layout(model.vectors, method="pca"))


def test_a_layout_of_the_wrong_shape_is_refused(model, tmp_path):
    wrong = np.zeros((99, 2), dtype=np.float32)
    with pytest.raises(ConfigError, match=r"layout has shape \(99, 2\); expected \(100, 2\)"):
        bundle.Parts(**{**vars(model.parts), "layout": wrong})


def test_a_damaged_layout_is_detected(model, tmp_path):
    version = item2vec.publish(model, tmp_path)
    file = version.path / "layout.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    with pytest.raises(CorruptBundleError, match=r"layout\.npy is damaged"):
        item2vec.load(tmp_path)


def test_a_model_on_hold_is_refused_with_and_without_its_layout(model, tmp_path):
    other = Recommender(vectors(seed=9), index="exact")
    item2vec.publish(other, tmp_path)
    item2vec.publish(model, tmp_path, layout=False)
    versions.rollback(tmp_path, reason="a test")
    with pytest.raises(GateRefusedError, match="the model is on hold"):
        item2vec.publish(model, tmp_path)


def test_the_setting_of_a_nightly_run():
    assert RetrainConfig().layout
    assert not RetrainConfig(layout=False).layout


TRAIN = ("train", "--playlists", "lists.txt", "--objective", "skipgram", "--epochs", "1")


@pytest.mark.parametrize(
    ("flags", "toml", "environment", "is_stored"),
    [
        ((), "", None, True),
        (("--no-layout",), "", None, False),
        ((), "layout = false", None, False),
        (("--layout",), "layout = false", None, True),
        ((), "", "false", False),
    ],
)
def test_the_setting_of_the_command_line(
    item2vec, tmp_path, monkeypatch, flags, toml, environment, is_stored
):
    (tmp_path / "lists.txt").write_text("a b c\nb c d\na d c\n" * 3)
    (tmp_path / "item2vec.toml").write_text(toml)
    monkeypatch.delenv("ITEM2VEC_LAYOUT", raising=False)
    if environment is not None:
        monkeypatch.setenv("ITEM2VEC_LAYOUT", environment)
    code, out, err = item2vec(*TRAIN, *flags, "--json")
    assert code == 0, err
    files = bundle.verify(Path(json.loads(out)["path"])).files
    assert ("layout.npy" in files) == is_stored


def test_a_setting_that_is_no_boolean_is_an_error(item2vec, tmp_path):
    (tmp_path / "item2vec.toml").write_text("layout = 3")
    code, _, err = item2vec(*TRAIN)
    assert (code, "item2vec.toml: layout is" in err, "expected true or false" in err) == (2, True, True)


def view_of(model):
    songs = {f"i{i}": {"title": f"Song {i}", "genre": f"g{i % 3}" if i else None} for i in range(100)}
    items = Items.of(songs)
    known = Recommender.from_parts(replace(model.parts, items=items))
    return View(known, "v", Catalogue.of(items), None)


def floats(text):
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def test_the_explorer_draws_the_stored_layout(model):
    stored = Recommender.from_parts(with_layout(model.parts))
    assert Maps().of(stored) is stored.parts.layout


def test_new_items_are_placed_beside_similar_items():
    own, more = ({f"{name}{i}": {"genre": f"g{i % 5}"} for i in range(100)} for name in "in")
    known = Recommender(vectors(), index="exact", items=Items.of(own))
    stored = Recommender.from_parts(with_layout(known.parts))
    longer = stored.with_items(Items.of(more)).parts.layout
    assert np.array_equal(longer[:100], stored.parts.layout)
    assert share_of_neighbours_in_cluster(longer) > 0.95
    assert known.with_items(Items.of(more)).parts.layout is None


def test_a_row_is_placed_by_its_eight_most_similar_rows():
    angles = np.append(np.arange(12.0), [3.2, 0]) * 0.1
    rows = np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    rows[13] = 0
    positions = np.column_stack((angles, np.zeros(14))).astype(np.float32)
    positions[12:] = np.nan
    found = beside(rows, np.ones(14), positions)
    assert np.array_equal(found[:12], positions[:12])
    # The nearest eight are 0 to 7: 0.32 lies between them, and weights fall by exp(20 · cosine).
    weights = np.exp(20 * np.cos(angles[:8] - angles[12]))
    assert found[12, 0] == pytest.approx(weights @ angles[:8] / weights.sum())
    assert np.isnan(found[13]).all()
    assert np.isnan(beside(rows, np.ones(14), np.full((14, 2), np.nan, np.float32))).all()


def test_the_map_of_the_explorer_has_only_items_with_a_position(model):
    view, positions = view_of(model), layout(model.vectors)
    positions[7] = np.nan
    data = map_data(view, positions, "genre")
    drawn = np.delete(np.arange(100), 7)
    assert data["ids"] == [f"i{i}" for i in drawn]
    assert data["titles"] == [f"Song {i}" for i in drawn]
    assert np.array_equal(np.column_stack((floats(data["x"]), floats(data["y"]))), positions[drawn])
    names, groups = data["names"], list(base64.b64decode(data["group"]))
    assert [names[group] for group in groups] == [f"g{i % 3}" if i else None for i in drawn]


@pytest.mark.parametrize(
    ("values", "steps", "scale"),
    [
        ([0, 1, 2, 254], [0, 1, 2, 254], [0, 254]),
        ([-2, None, 0.0, 2], [0, 255, 127, 254], [-2, 2]),
        ([1, 10**400, 3, 2], [0, 255, 254, 127], [1, 3]),  # a number beyond float64
        ([-1.7e308, 0, 1.7e308, 1.7e308], [0, 127, 254, 254], [-1.7e308, 1.7e308]),
    ],
)
def test_numbers_with_many_values_have_a_scale(model, monkeypatch, values, steps, scale):
    monkeypatch.setattr("item2vec.mapping.colours.colours_of.__kwdefaults__", {"most": 2})
    ids = [f"i{i}" for i in range(4)]
    items = Items.of({id_: {"year": year} for id_, year in zip(ids, values, strict=True)})
    known = Recommender.from_parts(replace(model.parts, items=items))
    positions = np.full((100, 2), np.nan, np.float32)
    positions[:4] = 0.5
    data = map_data(View(known, "v", Catalogue.of(items), None), positions, "year")
    assert (list(base64.b64decode(data["group"])), data["scale"], data["names"]) == (steps, scale, [])
    assert map_data(view_of(model), positions, "genre")["scale"] is None


def test_a_computed_map_does_not_keep_the_vectors_of_a_replaced_version(monkeypatch):
    zeros = np.zeros((3, 2), np.float32)
    monkeypatch.setattr("item2vec.service.explorer_data.layout", lambda *_, **__: zeros)
    maps = Maps()

    def computed():
        vectors = ItemVectors(Vocabulary(tuple("abc")), np.eye(3), None, np.ones(3))
        maps.of(Recommender(vectors))
        for thread in threading.enumerate():
            if thread.name == "item2vec-map":
                thread.join()
        assert maps.of(Recommender(vectors)) is zeros
        return weakref.ref(vectors)

    kept = computed()
    gc.collect()
    assert kept() is None


def test_a_map_that_cannot_be_computed_is_empty(model, monkeypatch, caplog):
    def fail(*_, **__):
        raise ValueError("no convergence")

    monkeypatch.setattr("item2vec.service.explorer_data.layout", fail)
    maps = Maps()
    maps.of(model)
    for thread in threading.enumerate():
        if thread.name == "item2vec-map":
            thread.join()
    assert map_data(view_of(model), maps.of(model), None)["ids"] == []
    assert "the map could not be computed" in caplog.text
