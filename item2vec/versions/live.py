"""Follow a models folder: always the version that is served, without a request ever waiting for it."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from item2vec.errors import ConfigError, Item2VecError
from item2vec.recommender import Recommender
from item2vec.versions.checking import ask
from item2vec.versions.layout import Version, current
from item2vec.versions.loading import load, load_served

__all__ = ["Failure", "Live", "Served"]

LONGEST_PAUSE = 60.0

log = logging.getLogger(__name__)

# A fork waits for a load to end: what that has locked just then would stay locked in the child for ever.
_loading = threading.RLock()
os.register_at_fork(
    before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
)


@dataclass(frozen=True, eq=False)
class Served:
    """A model, the version that it is (``None`` for a bundle), and when it was loaded.

    >>> Served(version=None, model=None, loaded_at=datetime(2024, 2, 29, tzinfo=UTC)).loaded_at.year
    2024
    """

    version: Version | None
    model: Recommender
    loaded_at: datetime


@dataclass(frozen=True)
class Failure:
    """Why the version that should be served is not, and since when.

    >>> Failure("models/CURRENT is damaged", datetime(2024, 2, 29, tzinfo=UTC)).since.year
    2024
    """

    text: str
    since: datetime


@dataclass
class _Refused:
    """A version that could not be loaded, and how many looks at ``CURRENT`` lie between two tries."""

    version: Version
    pause: float
    passed: int = 0


class Live:
    """The model that a models folder serves; when another version is published, that one.

    A thread reads ``CURRENT`` every few seconds, loads a new version beside the old one, checks all of it,
    asks it a few questions, and then replaces one reference. Whatever goes wrong, the old model stays;
    ``failure`` then says why, and a warning is logged. What is damaged is tried again, ever more seldom, up
    to once a minute, and at once when ``CURRENT`` changes. An old model is freed when the last request that
    holds it ends. Safe to share between threads; a forked process follows by a thread of its own from the
    first time that it asks for the model.

    Parameters
    ----------
    models
        A models folder. A single bundle will do as well; it is loaded once.
    every
        Seconds between two looks at ``CURRENT``; with ``None``, nobody looks but ``check``.

    Raises
    ------
    BundleNotFoundError
        If nothing is published there.
    CorruptBundleError
        If what is published is damaged.

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

    def __init__(self, models: str | os.PathLike[str], *, every: float | None = 2.0) -> None:
        if every is not None and not 0 < every <= threading.TIMEOUT_MAX:
            raise ConfigError(f"every is {every}; expected a number of seconds above 0, or None")
        self._models = Path(models)
        with _loading:
            self._served = _load(self._models)
        self._every = None if self._served.version is None else every
        self._failure: Failure | None = None
        self._refused: _Refused | None = None
        self._follower: _Follower | None = None
        self._follow()

    @property
    def served(self) -> Served:
        """Model and version, as they belong together."""
        follower = self._follower
        if follower is not None and follower.process != os.getpid():
            self._follow()
        return self._served

    @property
    def model(self) -> Recommender:
        """The model; take it once for a request."""
        return self.served.model

    @property
    def version(self) -> Version | None:
        """The version that the model is; ``None`` for a bundle."""
        return self.served.version

    @property
    def failure(self) -> Failure | None:
        """What keeps the version that ``CURRENT`` names from being served here; ``None`` if nothing does."""
        return self._failure

    def check(self) -> bool:
        """Look at ``CURRENT`` now, and return whether another model is served since.

        Never raises for what it finds: the old model stays, and ``failure`` says why.
        """
        return self._look(patiently=False)

    def close(self) -> None:
        """Follow no longer; the model that was served last stays."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.end()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self) -> None:
        if self._every is not None:
            self._follower = follower = _Follower(self, self._every)
            follower.start()
            # Also when the interpreter ends, so that no load is torn off halfway.
            weakref.finalize(self, follower.end)

    def _look(self, *, patiently: bool) -> bool:
        with _loading:
            served, version = self._served.version, None
            if served is None:
                return False
            try:
                version = current(self._models)
                if patiently and self._is_too_soon(version):
                    return False
                is_same = (version.id, version.manifest_sha256) == (served.id, served.manifest_sha256)
                self._served = replace(self._served, version=version) if is_same else _load(self._models)
            except Exception as error:  # noqa: BLE001 - whatever it is, the old model still answers
                self._refuse(version, error)
                return False
            self._failure = self._refused = None
        if not is_same:
            log.info("%s: now serving %s", self._models, version.id)
        return not is_same

    def _is_too_soon(self, version: Version) -> bool:
        refused = self._refused
        if refused is None or refused.version != version:
            return False
        refused.passed += 1
        return refused.passed < refused.pause

    def _refuse(self, version: Version | None, error: Exception) -> None:
        """Say why the old model stays, and let twice as many looks pass before this version's next try."""
        text = str(error) if isinstance(error, Item2VecError) else f"{type(error).__name__}: {error}"
        if self._failure is None or self._failure.text != text:
            self._failure = Failure(text, datetime.now(UTC))
            kept = self._served.version
            log.warning("%s: still serving %s: %s", self._models, kept and kept.id, text)
        if version is not None:
            refused = self._refused
            before = refused.pause if refused is not None and refused.version == version else 1
            self._refused = _Refused(version, min(2 * before, LONGEST_PAUSE / (self._every or LONGEST_PAUSE)))


class _Follower:
    """The thread that looks at ``CURRENT`` in this process, as long as its ``Live`` is there."""

    def __init__(self, live: Live, every: float) -> None:
        self.process = os.getpid()
        self._live = weakref.ref(live)
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="item2vec-live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """End the thread and wait for it, which takes no longer than a load."""
        if self.process == os.getpid():
            self._ended.set()
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            live = self._live()
            # Two threads that come first after a fork may each have started one.
            if live is None or live._follower is not self:
                return
            live._look(patiently=True)
            del live


def _load(models: Path) -> Served:
    if (models / "manifest.json").is_file():
        return Served(None, load(models), datetime.now(UTC))
    version, model = load_served(models)
    ask(model, briefly=True)
    return Served(version, model, datetime.now(UTC))
