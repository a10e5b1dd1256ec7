"""Every later version reads bundles, models folders and stores of released versions, and answers equally.

``scripts/make_golden_bundles.py`` has written the folders of ``tests/golden``, with the lowest and the newest
NumPy that the version allows.
"""

import gzip
import json
import shutil
from pathlib import Path

import pytest

import item2vec
from item2vec import bundle, versions
from item2vec.bundle.manifest import ALLOWED, KNOWN_FEATURES
from item2vec.store import Store
from item2vec.types import Share

FOLDERS = sorted((Path(__file__).parent / "golden").iterdir())
BUNDLES = ("imported", "next_item", "output", "skipgram")
EVERY_BUNDLE = [folder / name for folder in FOLDERS for name in BUNDLES]
MAX_BYTES = 1 << 20


def named(path):
    return "/".join(path.parts[path.parts.index("golden") + 1 :])


def queries(folder, of):
    lines = (folder / "answers.jsonl").read_text().splitlines()
    return [query for query in map(json.loads, lines) if query["of"] == of]


def numbers(version):
    return [int(part) for part in version.split(".")]


def plain(answer):
    """Return rankings and shares as the rows that are recorded."""
    return [
        [row.item, row.share] if isinstance(row, Share) else [row.item, row.score, row.source]
        for row in answer
    ]


def check_answers(model, recorded):
    """Check that ids and sources are equal to the recorded ones, and scores to 1e-6."""
    assert recorded
    for query in recorded:
        answer = getattr(model, query["method"])(*query["arguments"], **query["keywords"])
        assert plain(answer) == [
            [pytest.approx(cell, rel=1e-6, abs=1e-6) if isinstance(cell, float) else cell for cell in row]
            for row in query["answer"]
        ], query


@pytest.mark.parametrize("path", EVERY_BUNDLE, ids=named)
def test_a_golden_bundle_is_verified_and_answers_as_recorded(path, tmp_path):
    recorded = queries(path.parent, path.name)
    bundle.verify(path)
    model = item2vec.load(path)
    check_answers(model, recorded)
    model.save(tmp_path / "copy")
    check_answers(item2vec.load(tmp_path / "copy"), recorded)


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_golden_models_folder_is_served_and_can_be_written(folder, tmp_path):
    models = Path(shutil.copytree(folder / "models", tmp_path / "models"))
    served = versions.served_version(models)
    first, second = versions.list_versions(models)
    assert (served.id, served.generation, served.previous) == (first.id, 3, second.id)
    assert versions.pinned(models) == {first.id}
    assert (versions.held(models).version, versions.held(models).reason) == (second.id, "a golden bundle")
    for version in (first, second):
        versions.verify(models, version.id)
    with versions.Live(models, every=None) as live:
        check_answers(live.model, queries(folder, "imported"))
        versions.release(models)
        published = item2vec.publish(item2vec.load(second.path), models)
        assert live.check()
        assert (published.generation, published.previous) == (4, first.id)
        check_answers(live.model, queries(folder, "skipgram"))
    # The first version has an item without a vector.
    assert versions.rollback(models, to=first.id, reason="a test").id == first.id


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_golden_store_is_migrated_and_answers_as_recorded(folder, tmp_path):
    (tmp_path / "store.db").write_bytes(gzip.decompress((folder / "store.db.gz").read_bytes()))
    with Store(f"sqlite:///{tmp_path}/store.db") as store:
        store.upgrade()
        for query in queries(folder, "store"):
            answer = getattr(store, query["method"])(*query["arguments"])
            assert getattr(answer, "items", answer) == query["answer"] or answer == query["answer"], query
        (run,), (promotion,) = store.runs(), store.promotions()
        assert (run.status, promotion.generation, promotion.run_id) == ("promoted", 1, run.id)


def test_the_golden_bundles_of_the_newest_release_have_every_file_and_feature():
    release = max((folder.name.partition("-")[0] for folder in FOLDERS), key=numbers)
    folders = [folder for folder in FOLDERS if folder.name.startswith(f"{release}-")]
    oldest, newest = sorted((folder.name.partition("numpy-")[2] for folder in folders), key=numbers)
    assert numbers(oldest) < numbers(newest)
    for folder in folders:
        manifests = [bundle.verify(folder / name) for name in BUNDLES]
        remedy = "run scripts/make_golden_bundles.py"
        assert {name for manifest in manifests for name in manifest.files} == ALLOWED, remedy
        assert {name for manifest in manifests for name in manifest.features} == KNOWN_FEATURES, remedy
        assert {manifest.libraries["numpy"] for manifest in manifests} <= {oldest, newest}


def test_golden_files_are_small():
    sizes = [path.stat().st_size for folder in FOLDERS for path in folder.rglob("*")]
    assert max(sizes) < MAX_BYTES
    assert sum(sizes) < MAX_BYTES
