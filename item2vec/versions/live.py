"""``Live``: the served model of a models folder, reloaded in the background when the version changes."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from item2vec.arguments import checked, checked_except
from item2vec.errors import ConfigError, Item2VecError, short_repr
from item2vec.files import refusing_unreadable
from item2vec.recommender import Recommender
from item2vec.versions.checking import check_rankings, manifest_of
from item2vec.versions.layout import Version, served_version
from item2vec.versions.loading import load, load_served

__all__ = ["Failure", "Live", "Served"]

MAX_RETRY_SECONDS = 60.0

log = logging.getLogger(__name__)

# A fork waits until no load is running. Otherwise, locks of the loading thread would remain locked in the
# child.
_loading = threading.RLock()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
    )


@dataclass(frozen=True, eq=False)
class Served:
    """A loaded model, its version, and the times when the model was loaded and created.

    ``version`` is ``None`` for a single bundle. ``created_at`` is ``None`` if the manifest contains no time.

    >>> Served(version=None, model=None, loaded_at=datetime(2024, 2, 29, tzinfo=UTC)).loaded_at.year
    2024
    """

    version: Version | None
    model: Recommender
    loaded_at: datetime
    created_at: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """The error of the last failed load, and the time when this error first occurred.

    >>> Failure("models/CURRENT is damaged", datetime(2024, 2, 29, tzinfo=UTC)).since.year
    2024
    """

    text: str
    since: datetime


@dataclass
class _Backoff:
    """A version that could not be loaded, and the delay until the next attempt to load it.

    ``n_checks`` is the delay as a number of checks of ``CURRENT``, and ``passed`` the number of checks since
    the last attempt.
    """

    version: Version
    n_checks: float
    passed: int = 0


class Live:
    """The served model of a models folder, reloaded when another version is served.

    A background thread reads ``CURRENT`` every few seconds. When ``CURRENT`` names another version, after a
    publication or a rollback, the thread loads this version, checks the rankings of a few queries, and
    replaces the reference to the model. Requests do not wait meanwhile. The old model is freed when the last
    request that uses the old model ends.

    If a step fails, the old model remains in use, ``failure`` holds the error, and a warning is logged if the
    error is new. If the version cannot be loaded, the thread tries again after an interval that doubles after
    each failure, up to one minute, or at once when ``CURRENT`` names yet another version. If ``CURRENT``
    cannot be read, the thread reads ``CURRENT`` again after ``every`` seconds.

    Instances may be shared between threads. A forked process starts its own thread when it first accesses the
    model.

    Parameters
    ----------
    models
        A models folder, or a single bundle, which is loaded once.
    every
        Seconds between two reads of ``CURRENT``. If ``None``, no thread is started, and ``CURRENT`` is
        afterwards read only by ``check``.
    prepare
        Function that is called with a newly loaded model before this model replaces the old model, for
        example to fill caches. It is not called with the first model.

    Raises
    ------
    ConfigError
        If ``every`` is neither a positive number nor ``None``.
    BundleNotFoundError
        If the folder is not a bundle, and no version is published in it.
    CorruptBundleError
        If the served version or the bundle is damaged or cannot be read, or the version fails a query.

    Examples
    --------
    >>> import tempfile
    >>> from item2vec import adapters, fit, publish
    >>> model = fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]]))
    >>> folder = tempfile.TemporaryDirectory()
    >>> version = publish(model, folder.name)
    >>> with Live(folder.name, every=None) as live:
    ...     live.version == version, live.check()
    ...     version = publish(model, folder.name)
    ...     live.check(), live.version == version, live.failure
    (True, False)
    (True, True, None)
    >>> folder.cleanup()
    """

    @checked_except("every")
    def __init__(
        self,
        models: str | os.PathLike[str],
        *,
        every: float | None = 2.0,
        prepare: Callable[[Recommender], object] | None = None,
    ) -> None:
        is_number = isinstance(every, int | float) and not isinstance(every, bool)
        if every is not None and not (is_number and 0 < every <= threading.TIMEOUT_MAX):
            raise ConfigError(f"every is {short_repr(every)}; expected a positive number of seconds, or None")
        self._models = Path(models)
        with _loading:
            self._served = _load(self._models)
        self._every = None if self._served.version is None else every
        self._prepare = prepare
        self._failure: Failure | None = None
        self._backoff: _Backoff | None = None
        self._follower: _Follower | None = None
        self._start_follower()

    @property
    def served(self) -> Served:
        """The model, its version, and the times of loading and of creation, in one object."""
        follower = self._follower
        if follower is not None and follower.process != os.getpid():
            self._start_follower()
        return self._served

    @property
    def model(self) -> Recommender:
        """The model in use; read this property once per request."""
        return self.served.model

    @property
    def version(self) -> Version | None:
        """The version in use; ``None`` for a single bundle."""
        return self.served.version

    @property
    def failure(self) -> Failure | None:
        """The error of the last failed load; ``None`` if the served version is loaded."""
        return self._failure

    def check(self) -> bool:
        """Read ``CURRENT`` now, and return whether another version was loaded.

        If loading fails, no error is raised: the old model remains in use, and ``failure`` holds the error.
        For a single bundle, nothing is read, and the result is ``False``.
        """
        return self._check(back_off=False)

    def close(self) -> None:
        """Stop the background thread; the model remains available."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.end()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_follower(self) -> None:
        if self._every is not None:
            self._follower = follower = _Follower(self, self._every)
            follower.start()
            # The finalizer also runs at interpreter exit, and waits until a running load has ended.
            weakref.finalize(self, follower.end)

    def _check(self, *, back_off: bool) -> bool:
        with _loading:
            loaded, version = self._served.version, None
            if loaded is None:
                return False
            try:
                version = served_version(self._models)
                if back_off and self._must_wait(version):
                    return False
                is_same = (version.id, version.manifest_sha256) == (loaded.id, loaded.manifest_sha256)
                self._served = replace(self._served, version=version) if is_same else self._loaded()
            except Exception as error:  # noqa: BLE001 - after any error, the old model remains in use
                self._record_failure(version, error)
                return False
            self._failure = self._backoff = None
        if not is_same:
            log.info("%s: now serving %s", self._models, version.id)
        return not is_same

    def _loaded(self) -> Served:
        served = _load(self._models)
        if self._prepare is not None:
            self._prepare(served.model)
        return served

    def _must_wait(self, version: Version) -> bool:
        """Count one check of ``CURRENT``, and return whether the delay of this version has not yet passed."""
        backoff = self._backoff
        if backoff is None or backoff.version != version:
            return False
        backoff.passed += 1
        return backoff.passed < backoff.n_checks

    def _record_failure(self, version: Version | None, error: Exception) -> None:
        """Record a failed load: log the error if it is new, and double the delay until the next attempt."""
        text = str(error) if isinstance(error, Item2VecError) else f"{type(error).__name__}: {error}"
        if self._failure is None or self._failure.text != text:
            self._failure = Failure(text, datetime.now(UTC))
            loaded = self._served.version
            log.warning("%s: still serving %s: %s", self._models, loaded and loaded.id, text)
        if version is not None:
            backoff = self._backoff
            n_checks = backoff.n_checks if backoff is not None and backoff.version == version else 1
            limit = MAX_RETRY_SECONDS / (self._every or MAX_RETRY_SECONDS)
            self._backoff = _Backoff(version, min(2 * n_checks, limit))


class _Follower:
    """A thread that checks ``CURRENT`` periodically, until its ``Live`` is closed or deleted."""

    @checked
    def __init__(self, live: Live, every: float) -> None:
        self.process = os.getpid()
        self._live = weakref.ref(live)
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="item2vec-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop the thread, and wait until it has ended."""
        if self.process == os.getpid():
            self._ended.set()
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            live = self._live()
            # After a fork, two request threads may each start a follower. The follower that the ``Live``
            # does not refer to ends.
            if live is None or live._follower is not self:
                return
            live._check(back_off=True)
            del live


@refusing_unreadable()
def _load(models: Path) -> Served:
    if (models / "manifest.json").is_file():
        created_at = manifest_of(models)[0].created_at
        return Served(None, load(models), datetime.now(UTC), created_at)
    version, model = load_served(models)
    check_rankings(model, brief=True)
    return Served(version, model, datetime.now(UTC), manifest_of(version.path)[0].created_at)
