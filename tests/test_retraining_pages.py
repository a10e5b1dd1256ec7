"""The HTML page of a promoted run is a file of its version; a version without a page is published, too."""

import errno
import os
import signal
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from faults.child import ENVIRONMENT, HANGING
from faults.made import made_model
from faults.operations import litter
from nights import QUICK, InProcessWorker, fill, made_listens, shuffled

import item2vec
from item2vec import bundle, versions
from item2vec.config import LimitsConfig, RetentionConfig, RetrainConfig
from item2vec.errors import (
    CorruptBundleError,
    GateRefusedError,
    MissingExtraError,
    RunFailedError,
    WriteError,
)
from item2vec.retraining.supervisor import Worker

WITH_PAGES = QUICK.replace(retention=RetentionConfig())
# Arguments: the models folder, the store, and the function that kills the run when it is called.
KILLED = """
import os, pkgutil, signal, sys
from pathlib import Path
import item2vec
from item2vec.config import RetentionConfig
from nights import QUICK, InProcessWorker
models, store, place = sys.argv[1:]
pkgutil.resolve_name("item2vec.retraining.run").Worker = InProcessWorker
pkgutil.resolve_name("item2vec.retraining.jobs").write_report = lambda _, page, **_more: Path(page).touch()
owner, _, name = place.rpartition(".")
setattr(pkgutil.resolve_name(owner), name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
item2vec.retrain(models=models, store=store, config=QUICK.replace(retention=RetentionConfig()))
"""


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def url(tmp_path):
    return fill(f"sqlite:///{tmp_path}/item2vec.db", made_listens())


@pytest.fixture
def in_process(monkeypatch):
    """Execute jobs in this process: starting a worker takes a second."""
    monkeypatch.setattr("item2vec.retraining.run.Worker", InProcessWorker)


@pytest.fixture
def drawn(in_process, monkeypatch):
    """Write a line of text in place of each page; return the list of the outcomes that the pages state."""
    outcomes = []

    def write(_study, path, *, run, **_more):
        outcomes.append(run["status"])
        Path(path).write_text(f"{run['run']} {run['status']} {run['reason']}")

    monkeypatch.setattr("item2vec.retraining.jobs.write_report", write)
    return outcomes


def retrain(models, url, **more):
    return item2vec.retrain(models=models, store=url, config=WITH_PAGES, **more)


def check_unpublished(models):
    assert not (models / "CURRENT").exists()
    assert list((models / "versions").iterdir()) == litter(models) == []


def test_the_page_of_a_promoted_run_is_a_file_of_its_version(models, url, drawn):
    result = retrain(models, url)
    page, copy = result.version.path / "report.html", result.path.with_suffix(".html")
    assert page.read_text() == f"{result.version.id} promoted None"
    manifest = versions.verify(models)
    assert manifest.files["report.html"].size == page.stat().st_size
    assert "report" in manifest.features
    assert (result.report["page"], copy.read_text()) == (str(copy), page.read_text())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (page, copy)] == [0o444, 0o644]
    assert drawn == ["promoted"]
    assert "draw" in result.report["seconds"]
    others = [item2vec.publish(made_model(seed=seed), models) for seed in (1, 2)]
    assert not any((version.path / "report.html").exists() for version in others)
    assert [version.id for version in versions.gc(models, keep=1)] == [result.version.id]
    assert copy.exists()


def test_a_version_with_a_page_is_listed_and_loaded(models, url, drawn, tmp_path):
    item2vec.publish(made_model(), models)
    with versions.Live(models, every=None) as live:
        result = retrain(models, url, force="a fire drill")
        assert live.check()
        live.model.save(tmp_path / "copy")
    assert (result.version.path / "report.html").read_text().endswith(" promoted a fire drill")
    row = versions.overview(models)[-1]
    assert row.version == result.version
    assert "damaged" not in row.states
    assert row.size == sum(path.stat().st_size for path in result.version.path.iterdir())
    assert "report.html" not in bundle.verify(tmp_path / "copy").files
    assert drawn == ["promoted"]


@pytest.mark.usefixtures("drawn")
def test_a_damaged_page_is_detected_and_the_version_is_not_loaded(models, url):
    page = retrain(models, url).version.path / "report.html"
    page.chmod(0o644)
    page.write_bytes(b"\0" + page.read_bytes()[1:])
    for read in (versions.verify, item2vec.load):
        with pytest.raises(CorruptBundleError, match=r"report\.html is damaged"):
            read(models)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (RuntimeError("no convergence"), True),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True),
        (MissingExtraError("openTSNE is not installed"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_version_is_published_without_a_page_that_cannot_be_drawn(
    models, url, monkeypatch, caplog, error, is_logged
):
    tried = []

    def fail(*_, **_more):
        tried.append(error)
        raise error

    monkeypatch.setattr("item2vec.retraining.jobs.write_report", fail)
    result = retrain(models, url)
    assert versions.served_version(models) == result.version
    manifest = versions.verify(models)
    assert ("report.html" in manifest.files, "report" in manifest.features) == (False, False)
    assert (result.report["status"], result.report["page"]) == ("promoted", None)
    assert list((models / "runs").iterdir()) == [result.path]
    assert ("the page was not drawn" in caplog.text) == is_logged
    assert tried == [error]


@pytest.mark.usefixtures("in_process")
def test_an_interrupted_drawing_ends_the_run(models, url, monkeypatch):
    def interrupt(*_, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("item2vec.retraining.jobs.write_report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        retrain(models, url)
    check_unpublished(models)


def test_a_worker_that_exceeds_a_limit_is_killed():
    """Otherwise, a drawing that exceeds the limit of memory would continue while the version is published."""
    with Worker(RetrainConfig(limits=LimitsConfig(memory=0.02))) as worker:
        with pytest.raises(RunFailedError, match=r"expected at most 0\.02 GiB"):
            worker.snapshot("sqlite:///nowhere/item2vec.db", Path("/nowhere"), datetime(2024, 1, 1))
        assert worker._process.wait(timeout=60) == -signal.SIGKILL


def test_the_page_of_a_refused_run_is_in_no_version(models, tmp_path, drawn):
    url = fill(f"sqlite:///{tmp_path}/spoiled.db", shuffled(made_listens()))
    with pytest.raises(GateRefusedError) as caught:
        retrain(models, url)
    (page,) = (models / "runs").glob("*.html")
    assert page.read_text().endswith(f" refused {caught.value}")
    assert drawn == ["refused"]
    assert caught.value.report["page"] == str(page)
    check_unpublished(models)


def test_a_version_refused_after_the_drawing_is_described_as_refused(models, url, drawn, monkeypatch):
    def refuse(*_):
        raise GateRefusedError("the model is on hold")

    monkeypatch.setattr("item2vec.versions.publishing.check_not_held", refuse)
    with pytest.raises(GateRefusedError):
        retrain(models, url)
    (page,) = (models / "runs").glob("*.html")
    assert page.read_text().endswith(" refused the model is on hold")
    assert drawn == ["promoted", "refused"]
    check_unpublished(models)


@pytest.mark.usefixtures("drawn")
def test_nothing_is_published_if_the_page_cannot_be_added(models, url, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("item2vec.bundle.replace_bytes", fail)
    with pytest.raises(WriteError, match="bundle could not be written: No space left on device"):
        retrain(models, url)
    check_unpublished(models)


@pytest.mark.usefixtures("drawn")
def test_a_hold_applies_to_a_model_with_any_page(models, url):
    other = item2vec.publish(made_model(), models)
    first, second = retrain(models, url).version, retrain(models, url).version
    assert (first.path / "report.html").read_text() != (second.path / "report.html").read_text()
    assert versions.rollback(models, reason="a test").id == first.id
    assert versions.held(models).artefacts == (), "the two versions have equal models"
    versions.rollback(models, to=other.id, reason="a test")
    with pytest.raises(GateRefusedError, match="the model is on hold"):
        item2vec.publish(item2vec.load(second.path), models, layout=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", ["item2vec.bundle.replace_bytes", "item2vec.versions.publishing.Attempt.commit"]
)
def test_a_run_killed_between_drawing_and_publication_leaves_nothing(models, url, drawn, place):
    command = [sys.executable, "-c", KILLED, models, url, place]
    ended = subprocess.run(command, env=ENVIRONMENT, timeout=HANGING, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (models / "CURRENT").exists()
    assert list((models / "versions").iterdir()) == []
    result = retrain(models, url)
    assert versions.list_versions(models)[0].id == result.version.id
    assert "report.html" in versions.verify(models).files
    assert litter(models) == []
    assert drawn == ["promoted"]
