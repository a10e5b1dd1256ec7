"""Fixtures that run the canary in this process, or in its own one."""

import pytest

CALLERS = ("item2vec.versions.publishing.run_canary", "item2vec.versions.rollbacks.run_canary")


def check_here(folder, manifest_sha256):
    """Load and query a bundle like ``run_canary``, in this process."""
    from item2vec import bundle
    from item2vec.errors import CorruptBundleError, Item2VecError
    from item2vec.recommender import Recommender
    from item2vec.versions.checking import check_rankings

    try:
        check_rankings(Recommender.from_parts(bundle.read(folder, manifest_sha256=manifest_sha256)))
    except Item2VecError as error:
        message = f"the canary process refused the model at {folder} (exit code 1: {error})"
        raise CorruptBundleError(message) from error


@pytest.fixture(scope="session", autouse=True)
def canary_in_this_process():
    """Run canaries in this process: starting another takes a second."""
    with pytest.MonkeyPatch.context() as patched:
        for caller in CALLERS:
            patched.setattr(caller, check_here)
        yield


@pytest.fixture
def canary_process(monkeypatch):
    """Run canaries in their own process, for tests that concern it."""
    from item2vec.versions.checking import run_canary

    for caller in CALLERS:
        monkeypatch.setattr(caller, run_canary)
