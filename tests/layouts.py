"""Fixtures that choose how the positions of the items of a published model are computed."""

import pytest

from item2vec.mapping.positions import available_method

METHOD = "item2vec.bundle.layout.available_method"


@pytest.fixture(scope="session", autouse=True)
def layouts_by_components():
    """Publish models with principal components: t-SNE takes most of the time of a publication."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(METHOD, lambda: "pca")
        yield


@pytest.fixture
def layouts_by_tsne(monkeypatch):
    """Publish models with t-SNE, for tests that concern it."""
    monkeypatch.setattr(METHOD, available_method)
