"""A bundle reads back bit for bit as written, or raises an error that names the fault."""

import dataclasses
import hashlib
import json
import re
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from faults.child import needs_proc, run
from faults.made import all_rankings, made_model, made_vectors
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids
from without_linux import PORTABLE

import item2vec
from item2vec import (
    CBOW,
    Items,
    ItemVectors,
    NextItem,
    Recommender,
    SkipGram,
    TasteConfig,
    TrainConfig,
    Vocabulary,
    bundle,
)
from item2vec.bundle.manifest import KNOWN_FEATURES
from item2vec.bundle.seal import sealed
from item2vec.errors import (
    BundleExistsError,
    BundleNotFoundError,
    CorruptBundleError,
    InputError,
    WriteError,
)
from item2vec.index import build
from item2vec.neighbours import NeighbourTable
from item2vec.prior import searched_matrix
from item2vec.vectors import Epoch

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.floats(-1e6, 1e6, width=32)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | ids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ids, inner, max_size=3),
    max_leaves=5,
)
decays = st.floats(0.001, 1)
gensim_trainings = st.builds(
    TrainConfig,
    objective=st.sampled_from(["skipgram", "cbow"]),
    window=st.integers(1, 9) | st.just("full"),
    sample=st.floats(0, 0.5),
    ns_exponent=st.floats(-2, 2),
    seed=st.integers(0, 2**32 - 1),
    patience=st.none() | st.integers(1, 9),
)
next_item_trainings = st.builds(
    TrainConfig,
    objective=st.just("next_item"),
    context_decay=st.tuples(decays) | st.tuples(decays, decays) | st.tuples(*[decays] * 4),
    dropout=st.floats(0, 0.9),
    weight_decay=st.floats(0, 0.9),
)
trainings = gensim_trainings | next_item_trainings


def tastes(size):
    several = [n_parts for n_parts in range(1, size + 1) if size % n_parts == 0]
    return st.builds(
        TasteConfig,
        score=st.sampled_from(["cosine", "output"]),
        decay=decays | st.sampled_from(several).flatmap(lambda n_parts: st.tuples(*[decays] * n_parts)),
        half_life=st.none() | st.floats(0.001, 1e9),
        last_n=st.none() | st.integers(1, 10**12),
        repeat_bonus=st.floats(0, 1e6),
        mixture=st.just(0.0) | st.floats(0, 1e6),
        popularity=st.just(0.0) | st.floats(0, 1e6),
        popularity_half_life=st.none() | st.floats(0.001, 1e9),
    )


@st.composite
def tables(draw, n_items):
    rows = draw(st.lists(st.sets(st.integers(0, n_items - 1)), min_size=n_items, max_size=n_items))
    weights = st.floats(0.125, 1e6, width=32)
    n = sum(map(len, rows))
    return NeighbourTable(
        np.cumsum([0, *map(len, rows)]),
        [item for row in rows for item in row],
        draw(st.lists(weights, min_size=n, max_size=n)),
        draw(decays),
    )


times = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones())
attributes = st.dictionaries(ids, json_values, max_size=3)


@st.composite
def parts(draw):
    n_items, size = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    taste = draw(tastes(size))
    matrix = st.lists(
        st.lists(numbers, min_size=size, max_size=size).filter(lambda row: max(map(abs, row)) > 1e-6),
        min_size=n_items,
        max_size=n_items,
    ).map(lambda rows: np.array(rows, dtype=np.float32))
    vectors = ItemVectors(
        Vocabulary(tuple(draw(st.lists(ids, min_size=n_items, max_size=n_items, unique=True)))),
        draw(matrix),
        draw(matrix) if taste.score == "output" or draw(st.booleans()) else None,
        np.array(draw(st.lists(st.floats(0, 1e300), min_size=n_items, max_size=n_items))),
        draw(st.none() | trainings),
        tuple(draw(st.lists(st.builds(Epoch, st.integers(1, 10**6), finite, finite), max_size=3))),
    )
    known = draw(st.none() | st.dictionaries(ids, attributes, max_size=3))
    items = (
        None
        if known is None
        else Items(Vocabulary(tuple(known)), (None, "T", "")[: len(known)], tuple(known.values()))
    )
    priors = st.lists(st.floats(0, 40, width=32), min_size=n_items, max_size=n_items)
    priors = priors.map(lambda values: np.array(values, np.float32))
    prior = draw(priors if taste.popularity else st.none() | priors)
    kind = draw(st.sampled_from(["exact", "faiss", "annoy"]))
    index = build(searched_matrix(vectors, taste, prior), kind=kind)
    neighbours = draw(tables(n_items) if taste.mixture else st.none() | tables(n_items))
    return bundle.Parts(vectors, taste, index, items, neighbours=neighbours, prior=prior)


def bits(array):
    return None if array is None else (array.dtype.str, array.shape, array.tobytes())


def everything(parts):
    """All values of a model, in a form that compares bit for bit."""
    vectors, items = parts.vectors, parts.items
    matrices = [bits(array) for array in (vectors.input, vectors.output, vectors.counts)]
    known = None if items is None else (items.vocabulary.ids, items.titles, json.dumps(items.attributes))
    curve = [repr(point) for point in vectors.curve]
    table = parts.neighbours
    rows = table and [bits(table.offsets), bits(table.items), bits(table.weights), table.decay]
    settings = vectors.config, parts.taste, parts.index.kind
    return vectors.vocabulary.ids, matrices, settings, curve, known, rows, bits(parts.prior)


@examples(60)
@given(
    parts=parts(),
    note=st.dictionaries(ids, json_values, max_size=3),
    now=st.none() | times,
)
def test_a_bundle_round_trip_preserves_every_bit(tmp_path_factory, parts, note, now):
    path = tmp_path_factory.mktemp("bundles") / "songs"
    manifest = bundle.write(parts, path, note=note, now=now)
    assert everything(bundle.read(path)) == everything(parts)
    read = bundle.verify(path)
    assert read == manifest
    assert json.dumps(read.note, sort_keys=True) == json.dumps(note, sort_keys=True)
    assert read.created_at == (now and now.astimezone(UTC))
    loaded, expected = Recommender.from_parts(bundle.read(path)), Recommender.from_parts(parts)
    histories = [[id_] for id_ in parts.vectors.vocabulary.ids]
    assert loaded.recommend_many(histories, k=3) == expected.recommend_many(histories, k=3)


def test_a_library_with_unreadable_metadata_is_not_listed(tmp_path, monkeypatch):
    installed = {"annoy": None, "faiss-cpu": "1.0"}  # version() returns None if it cannot read the metadata
    monkeypatch.setattr("item2vec.bundle.manifest.version", installed.__getitem__)
    bundle.write(made_model().parts, tmp_path / "songs")
    listed = bundle.verify(tmp_path / "songs").libraries
    assert listed["faiss-cpu"] == "1.0"
    assert listed.keys().isdisjoint({"annoy", "gensim"})


@pytest.mark.parametrize("index", ["exact", "faiss", "annoy"])
@pytest.mark.parametrize("score", ["cosine", "output"])
def test_a_loaded_model_ranks_like_the_saved_one(tmp_path, index, score):
    model = made_model(400, score=score, index=index, items=True)
    model.save(tmp_path / "songs")
    assert all_rankings(item2vec.load(tmp_path / "songs")) == all_rankings(model)


@pytest.mark.parametrize("index", ["exact", "faiss", "annoy"])
@pytest.mark.parametrize("score", ["cosine", "output"])
def test_items_without_an_input_vector_have_none_after_loading(tmp_path, index, score):
    made = made_vectors(200)
    rows = np.where(np.arange(200)[:, None] < 190, made.input, 0)
    model = Recommender(dataclasses.replace(made, input=rows), score=score, index=index)
    model.save(tmp_path / "model")
    loaded = item2vec.load(tmp_path / "model")
    assert loaded.vectors.has_input.tolist() == [True] * 190 + [False] * 10
    history = made.vocabulary.ids[:3]
    assert loaded.recommend(history, k=5) == model.recommend(history, k=5)


def test_a_next_item_model_keeps_its_settings(tmp_path):
    training = TrainConfig(objective="next_item", vector_size=8, context_decay=(0.4, 0.8), dropout=0.2)
    model = Recommender(dataclasses.replace(made_vectors(), config=training, positions=None))
    model.save(tmp_path / "songs")
    loaded = item2vec.load(tmp_path / "songs")
    assert (loaded.vectors.config, loaded.taste) == (
        training,
        TasteConfig(score="output", decay=(0.4, 0.8)),
    )
    assert all_rankings(loaded) == all_rankings(model)
    assert Recommender(loaded.vectors).taste == loaded.taste


OLD_NEXT_ITEM = NextItem(similarity="inner", tied=0, vector_size=8, context_decay=(0.5, 0.9), dropout=0.2)


@pytest.mark.parametrize("training", [OLD_NEXT_ITEM, SkipGram(vector_size=8, window=3), CBOW(vector_size=8)])
def test_a_model_of_version_0_1_0_is_loaded(tmp_path, training):
    """Version 0.1.0 wrote the settings of all objectives, regardless of the trained one."""
    vectors = dataclasses.replace(made_vectors(), config=training, positions=None)
    Recommender(vectors).save(tmp_path / "songs")
    manifest = json.loads((tmp_path / "songs" / "manifest.json").read_text())
    all_settings = {
        "objective": "skipgram", "backend": "gensim", "vector_size": 8, "window": 10, "min_count": 1,
        "sample": 0.0, "negative": 5, "ns_exponent": 0.25, "hs": False, "cbow_mean": True,
        "shrink_windows": True, "forward_only": False, "context_decay": [0.5, 0.9], "dropout": 0.3,
        "weight_decay": 0.003, "alpha": 0.05, "min_alpha": 0.0001, "epochs": 40, "workers": 2, "seed": 1,
        "patience": None,
    }  # fmt: skip
    del manifest["sha256"]
    manifest["train"] = {name: (all_settings | manifest["train"])[name] for name in all_settings}
    assert manifest["train"].keys() == all_settings.keys()
    (tmp_path / "songs" / "manifest.json").chmod(0o644)
    (tmp_path / "songs" / "manifest.json").write_bytes(sealed(manifest))
    assert item2vec.load(tmp_path / "songs").vectors.config == training


def test_equal_models_produce_equal_bytes(tmp_path):
    now = datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=5)))
    for name in ("one", "two"):
        bundle.write(made_model(items=True).parts, tmp_path / name, note={"b": 1, "a": 2}, now=now)
    content = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")
    ]
    assert content[0] == content[1]


def test_a_bundle_is_written_once_and_then_read_only(tmp_path):
    model = made_model()
    model.save(tmp_path / "new" / "songs")
    with pytest.raises(BundleExistsError, match="already exists"):
        model.save(tmp_path / "new" / "songs")
    modes = {path.stat().st_mode & 0o222 for path in (tmp_path / "new" / "songs").iterdir()}
    assert modes == {0}
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "songs"]


@needs_proc
def test_the_matrices_are_memory_mapped_and_read_only(tmp_path):
    made_model(index="annoy").save(tmp_path / "songs")
    parts = bundle.read(tmp_path / "songs")
    mapped = Path("/proc/self/maps").read_text()
    assert all(str(tmp_path / "songs" / name) in mapped for name in ("input.npy", "output.npy"))
    # Without paths of descriptors, a copy of the index is mapped.
    assert ("index.ann" if PORTABLE else str(tmp_path / "songs" / "index.ann")) in mapped
    with pytest.raises(ValueError, match="read-only"):
        parts.vectors.input[0, 0] = 1


def test_a_model_without_items_is_loaded_without_pandas(tmp_path):
    made_model().save(tmp_path / "songs")
    code = "import sys, item2vec; item2vec.load(sys.argv[1]); print(*{'pandas', 'gensim'} & set(sys.modules))"
    assert run(code, tmp_path / "songs").split() == []


@pytest.mark.parametrize(
    "note",
    [
        {"a": float("nan")},
        {"a": b"bytes"},
        {"a": "\ud800"},
        {1: "number"},
        {"a": (1, 2)},
        {"a": "x" * 2_000_000},
        {"a": json.loads("[" * 200 + "]" * 200)},
    ],
    ids=lambda note: repr(note)[:12],
)
def test_a_note_that_is_not_json_is_refused(tmp_path, note):
    with pytest.raises(InputError):
        bundle.write(made_model().parts, tmp_path / "songs", note=note)
    assert list(tmp_path.iterdir()) == []


def test_a_creation_time_without_a_time_zone_is_refused(tmp_path):
    with pytest.raises(InputError, match="created_at"):
        bundle.write(made_model().parts, tmp_path / "songs", now=datetime(2024, 1, 1))


def test_an_unwritable_path_is_a_write_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="songs could not be written: File exists"):
        made_model().save(tmp_path / "file" / "songs")


def test_paths_without_a_bundle(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "file", "empty"):
        with pytest.raises(BundleNotFoundError, match="item2vec train"):
            item2vec.load(tmp_path / name)


# Bundles written by another program: complete, and with correct checksums.


@pytest.fixture
def forge(tmp_path):
    """Write a bundle, apply the changes of a test, update the checksums, and return its path."""
    path = tmp_path / "songs"
    made_model().save(path)

    def forged(change=lambda manifest: None, **arrays):
        manifest = json.loads((path / "manifest.json").read_text())
        for name, array in arrays.items():
            file = path / f"{name}.npy"
            file.unlink(missing_ok=True)
            np.save(file, array)
        for file in path.iterdir():
            content = file.read_bytes()
            entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            if file.name != "manifest.json":
                manifest["files"][file.name] = entry
        manifest.pop("sha256")
        change(manifest)
        (path / "manifest.json").unlink()
        (path / "manifest.json").write_bytes(sealed(manifest))
        return path

    return forged


def test_a_consistent_forged_bundle_is_read(forge):
    assert len(bundle.read(forge()).vectors) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda manifest: manifest.update(format=2, surprise=1),
            "has format 2, of a newer version of item2vec.*upgrade",
        ),
        (lambda manifest: manifest.update(features=["hashed"], surprise=1), "requires .'hashed'.; upgrade"),
        (lambda manifest: manifest.update(format=0), "format"),
        (lambda manifest: manifest.update(surprise=1), "surprise: Extra inputs"),
        (lambda manifest: manifest.pop("taste"), "taste: Field required"),
        (lambda manifest: manifest.update(features=7), "features"),
        (lambda manifest: manifest.update(n_items=41), "has 40 ids; expected 41"),
        (lambda manifest: manifest.update(n_items=True), "n_items"),
        (lambda manifest: manifest.update(n_items="40"), "n_items"),
        (lambda manifest: manifest.update(vector_size=4), r"shape .40, 8.; expected"),
        (lambda manifest: manifest["taste"].update(decay=2), "decay"),
        (lambda manifest: manifest["taste"].update(decay=[0.5, 2]), "decay"),
        (lambda manifest: manifest["taste"].update(decay=[0.5] * 3), "3 equal parts of the vectors"),
        (lambda manifest: manifest["taste"].update(speed=2), "speed"),
        (lambda manifest: manifest["train"].update(window="half"), "window"),
        (lambda manifest: manifest.update(index={"kind": "annoy"}), "index"),
        (lambda manifest: manifest.update(index={"kind": "faiss"}), "faiss"),
        (lambda manifest: manifest.update(index={}), "expected kind"),
        (lambda manifest: manifest.update(curve=[[1, 0.5]]), "curve"),
        (lambda manifest: manifest.update(curve=[[1, None, None, "2"]]), "curve"),
        (lambda manifest: manifest.update(created_at="yesterday"), "created_at"),
        (lambda manifest: manifest["files"].pop("output.npy"), "its manifest lists"),
        (lambda manifest: manifest["files"].pop("input.npy"), r"expected .'counts.npy'"),
        (lambda manifest: manifest["files"]["input.npy"].update(size=1), "has 1,408 bytes; expected 1"),
        (lambda manifest: manifest["files"]["input.npy"].update(sha256="0" * 64), "input.npy is damaged"),
        (lambda manifest: manifest["files"]["input.npy"].update(sha256="0" * 63), "sha256"),
        (
            lambda manifest: manifest["files"].update({"items.parquet": {"size": 0, "sha256": "0" * 64}}),
            "lists",
        ),
    ],
)
def test_an_invalid_manifest_is_refused(forge, change, message):
    with pytest.raises(CorruptBundleError, match=message):
        bundle.read(forge(change))


@pytest.mark.parametrize(
    "name", ["../../secret.npy", "/etc/passwd", "..", ".", "", "a/b", "output.npy\0", "manifest.json"]
)
def test_file_names_in_a_manifest_cannot_be_paths(forge, name):
    def change(manifest):
        manifest["files"][name] = manifest["files"].pop("output.npy")

    with pytest.raises(CorruptBundleError, match="lists"):
        bundle.read(forge(change))


rows = made_vectors().input


@pytest.mark.parametrize(
    "arrays",
    [
        {"input": np.where(np.arange(8) == 3, np.nan, rows)},
        {"input": np.where(np.arange(8) == 3, np.inf, rows)},
        {"output": np.full_like(rows, -np.inf)},
        {"counts": np.full(40, np.nan)},
        {"counts": np.full(40, -1.0)},
        {"counts": np.ones(40, dtype=np.float32)},
        {"input": np.zeros_like(rows)},
        {"input": rows.astype(np.float64)},
        {"input": rows.astype(">f4")},
        {"input": np.asfortranarray(rows)},
        {"input": rows[:39]},
        {"input": rows.T.copy()},
        {"input": rows[None]},
        {"output": rows[:, :4]},
        {"surprise": np.arange(40)},
    ],
    ids=lambda arrays: next(iter(arrays)),
)
def test_inconsistent_arrays_are_rejected(forge, arrays):
    with pytest.raises(CorruptBundleError):
        bundle.read(forge(**arrays))


@pytest.mark.parametrize(
    "content",
    [
        b'"a"\n' * 40,
        b'""\n' * 40,
        b"1\n" * 40,
        b'"a", "b"\n' * 20,
        b'"\\u0000"\n' * 40,
        b'"\\ud800"\n' * 40,
        b"",
        b'"a\n"' * 40,
    ],
)
def test_invalid_ids_are_refused(forge, tmp_path, content):
    path = tmp_path / "songs" / "ids.jsonl"
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(CorruptBundleError, match="songs"):
        bundle.read(forge())


def test_missing_output_vectors_are_refused_if_the_score_needs_them(forge, tmp_path):
    (tmp_path / "songs" / "output.npy").unlink()
    with pytest.raises(CorruptBundleError, match="output"):
        bundle.read(forge(lambda manifest: manifest["files"].pop("output.npy")))


def reseal(path, arrays, change=lambda manifest: None):
    """Replace arrays of a bundle, or remove those that are ``None``, and update the checksums."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name, array in arrays.items():
        file = path / f"{name}.npy"
        file.unlink()
        if array is None:
            del manifest["files"][file.name]
            continue
        np.save(file, array)
        content = file.read_bytes()
        manifest["files"][file.name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest.pop("sha256")
    change(manifest)
    (path / "manifest.json").unlink()
    (path / "manifest.json").write_bytes(sealed(manifest))


# The page of a nightly run.


@pytest.fixture
def with_page(tmp_path):
    """A bundle to which a page was added."""
    made_model().save(tmp_path / "songs")
    (tmp_path / "page.html").write_text("<h1>Songs</h1>")
    bundle.add_report(tmp_path / "songs", tmp_path / "page.html")
    return tmp_path / "songs"


def test_an_added_page_is_a_file_like_every_other_one(with_page):
    manifest, page = bundle.verify(with_page), with_page / "report.html"
    assert page.read_text() == "<h1>Songs</h1>"
    assert manifest.files["report.html"].sha256 == hashlib.sha256(page.read_bytes()).hexdigest()
    assert manifest.features == ("positions", "report")
    assert {path.name for path in with_page.iterdir()} == {"manifest.json", *manifest.files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in with_page.iterdir()} == {0o444}
    assert list(with_page.parent.iterdir()) == [with_page]


def test_a_release_without_pages_recommends_an_upgrade(with_page, monkeypatch):
    monkeypatch.setattr("item2vec.bundle.manifest.KNOWN_FEATURES", KNOWN_FEATURES - {"report"})
    with pytest.raises(CorruptBundleError, match=r"requires \['report'\]; upgrade item2vec"):
        bundle.read(with_page)


# The table of neighbours.


@pytest.fixture
def mixed(tmp_path):
    """A bundle with a table of neighbours."""
    made = made_vectors()
    rows = NeighbourTable(np.arange(41), np.arange(40)[::-1], np.full(40, 0.5), decay=0.5)
    Recommender(made, mixture=0.5, repeat_bonus=1.0, neighbours=rows).save(tmp_path / "songs")
    return tmp_path / "songs"


@needs_proc
def test_a_table_of_neighbours_is_memory_mapped_and_listed_as_a_feature(mixed):
    read = bundle.read(mixed)
    mapped = Path("/proc/self/maps").read_text()
    assert all(str(mixed / f"neighbours_{name}.npy") in mapped for name in ("offsets", "items", "weights"))
    assert read.neighbours.decay == bundle.verify(mixed).neighbours_decay == 0.5
    assert bundle.verify(mixed).features == ("bonuses", "positions")
    made_model().save(mixed.parent / "plain")
    assert bundle.verify(mixed.parent / "plain").features == ("positions",)


@needs_proc
def test_learned_positions_are_memory_mapped(tmp_path):
    model = made_model()
    model.save(tmp_path / "songs")
    loaded = item2vec.load(tmp_path / "songs")
    assert np.array_equal(loaded.vectors.positions, model.vectors.positions)
    assert str(tmp_path / "songs" / "positions.npy") in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.ones((3, 5)), "expected <f4 of shape"),
        (np.ones((2, 0)), "positions has shape"),
        (-np.ones((2, 5)), "expected finite weights >= 0"),
        (np.full((2, 5), np.nan), "expected finite weights >= 0"),
        (np.array([[1, 1], [0, 1]]), "weight 0 for the newest item"),
    ],
)
def test_invalid_positions_are_refused(forge, positions, message):
    with pytest.raises(CorruptBundleError, match=message):
        bundle.read(forge(positions=positions.astype(np.float32)))


def refuses_damage(folder, name):
    """Require that a changed byte and a missing file are detected by the manifest."""
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(CorruptBundleError, match=f"{name} is damaged"):
        bundle.read(folder)
    path.unlink()
    with pytest.raises(CorruptBundleError, match="its manifest lists"):
        bundle.read(folder)


@pytest.mark.parametrize("name", ["offsets", "items", "weights"])
def test_a_damaged_table_is_refused(mixed, name):
    refuses_damage(mixed, f"neighbours_{name}.npy")


def test_damaged_positions_are_refused(mixed):
    refuses_damage(mixed, "positions.npy")


@pytest.mark.parametrize(
    ("change", "arrays"),
    [
        (lambda manifest: manifest.update(neighbours_decay=None), {}),
        (lambda manifest: manifest.update(neighbours_decay=0.0), {}),
        (lambda manifest: manifest.update(neighbours_decay=2), {}),
        (lambda manifest: manifest.update(neighbours_decay="x"), {}),
        (lambda manifest: None, {"offsets": np.arange(40)}),
        (lambda manifest: None, {"offsets": np.arange(41)[::-1]}),
        (lambda manifest: None, {"offsets": np.arange(41) - 50}),
        (lambda manifest: None, {"offsets": np.arange(41, dtype=np.int32)}),
        (lambda manifest: None, {"items": np.full(40, 40, np.int32)}),
        (lambda manifest: None, {"items": np.full(40, -1, np.int32)}),
        (lambda manifest: None, {"items": np.zeros(39, np.int32)}),
        (lambda manifest: None, {"weights": np.zeros(40, np.float32)}),
        (lambda manifest: None, {"weights": np.full(40, np.nan, np.float32)}),
        (lambda manifest: None, {"weights": np.full(40, 0.5)}),
        (lambda manifest: None, {"weights": None}),
        (
            lambda manifest: manifest.update(neighbours_decay=None),
            dict.fromkeys(("offsets", "items", "weights")),
        ),
    ],
)
def test_an_inconsistent_table_is_refused(mixed, change, arrays):
    reseal(mixed, {f"neighbours_{name}": array for name, array in arrays.items()}, change)
    with pytest.raises(CorruptBundleError):
        bundle.read(mixed)


# The popularity prior.


@pytest.fixture
def popular(tmp_path):
    """A bundle with a popularity prior."""
    prior = np.log1p(np.arange(40, dtype=np.float32))
    Recommender(made_vectors(), popularity=0.5, prior=prior).save(tmp_path / "songs")
    return tmp_path / "songs"


@needs_proc
def test_a_popularity_prior_is_memory_mapped_and_listed_as_a_feature(popular):
    read = bundle.read(popular)
    assert str(popular / "popularity.npy") in Path("/proc/self/maps").read_text()
    assert read.prior.tolist() == np.log1p(np.arange(40, dtype=np.float32)).tolist()
    assert bundle.verify(popular).features == ("popularity", "positions")


def test_a_damaged_popularity_prior_is_refused(popular):
    refuses_damage(popular, "popularity.npy")


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros(39, np.float32), "shape"),
        (np.zeros((40, 1), np.float32), "shape"),
        (np.zeros(40), "<f8"),
        (np.full(40, np.nan, np.float32), "expected a finite number"),
        (np.full(40, np.inf, np.float32), "expected a finite number"),
        (None, "needs a prior, and prior is None"),
    ],
)
def test_an_invalid_popularity_prior_is_refused(popular, array, text):
    reseal(popular, {"popularity": array})
    with pytest.raises(CorruptBundleError, match=text):
        bundle.read(popular)


# Norms.


@pytest.mark.parametrize("name", ["input", "output"])
@pytest.mark.parametrize(
    ("value", "text"), [(3e38, "3e+38"), (-3e38, "3e+38"), (1.1e18, "1.1e+18"), (9e17, "1.8e+18")]
)
def test_a_resealed_vector_of_implausible_norm_is_refused(tmp_path, name, value, text):
    made = made_vectors()
    Recommender(made).save(tmp_path / "songs")
    matrix = getattr(made, name).copy()
    matrix[7, : 4 if text == "1.8e+18" else 1] = value
    matrix[7, 4 if text == "1.8e+18" else 1 :] = 0
    reseal(tmp_path / "songs", {name: matrix})
    item = re.escape(repr(made.vocabulary.ids[7]))
    with pytest.raises(
        CorruptBundleError, match=rf"{name} vector of {item} has norm {re.escape(text)}; expected"
    ):
        bundle.read(tmp_path / "songs")


def test_a_resealed_vector_below_the_bound_is_read(tmp_path):
    made = made_vectors()
    Recommender(made).save(tmp_path / "songs")
    matrix = made.input.copy()
    matrix[7] = 0
    matrix[7, 0] = 9e17
    reseal(tmp_path / "songs", {"input": matrix})
    model = Recommender.from_parts(bundle.read(tmp_path / "songs"))
    ranked = model.recommend([made.vocabulary.ids[7]], k=3)
    assert np.isfinite([entry.score for entry in ranked]).all()


def test_a_vector_of_implausible_norm_is_not_written(tmp_path):
    made = made_vectors()
    matrix = made.input.copy()
    matrix[7, 0] = 3e38
    parts = dataclasses.replace(Recommender(made).parts, vectors=dataclasses.replace(made, input=matrix))
    with pytest.raises(InputError, match="has norm 3e"):
        bundle.write(parts, tmp_path / "songs")
    assert list(tmp_path.iterdir()) == []
