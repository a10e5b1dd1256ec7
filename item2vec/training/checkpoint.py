"""``Checkpoint``: a folder with the state of a training run, from which a killed training run continues.

The folder contains::

    state-00000042/   state.json, the arrays of the trainer and the mask of the items read; the 42nd save
    best-00000003/    if ``patience`` is set: the vectors of the best epoch, here epoch 3

A state is saved after each piece, that is, after each shard of an epoch.

Each folder is written atomically: first the best epoch, then the state that names it. Older folders are
removed afterwards. From the first save on, there is always a complete state. A training run holds the lock of
the folder, because another run would remove its states.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec import files
from item2vec.arrays import Floats
from item2vec.config import NextItem, TrainConfig
from item2vec.errors import ConfigError, CorruptBundleError, short_repr
from item2vec.items import Items
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.shards.locks import locked
from item2vec.training.attributes import NewItems
from item2vec.training.corpus import Corpus
from item2vec.training.state import Best, State
from item2vec.training.stored import read_arrays, refusing_unwritable, write_arrays
from item2vec.training.trainer import Loss, Trainer
from item2vec.training.validation import Validation
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["Checkpoint", "DamagedStateError", "OtherTrainingError", "identity_of", "remove_checkpoint"]

FORMAT = 1
OWN = re.compile(r"(?P<kind>state|best)-(?P<number>\d{8})|\.(state|best)-\d{8}\.[0-9a-f]{32}\.tmp")


class OtherTrainingError(ConfigError):
    """The state belongs to a training run with other inputs, or has another format."""


class DamagedStateError(CorruptBundleError):
    """The state or its best epoch is damaged."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The checkpoint folder of a training run, and the identity of its inputs.

    ``identity`` maps a description of each input, such as "sentences", to a JSON value that identifies it.
    """

    folder: Path
    identity: Mapping[str, Any]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if it is missing, and hold its lock during the block.

        Raises
        ------
        LockHeldError
            If another training run, in this or another process, holds the lock.
        WriteError
            If the folder cannot be created.
        """
        with refusing_unwritable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = locked(self.folder)
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def restore(self, state: State, trainer: Trainer, corpus: Corpus, config: TrainConfig) -> None:
        """Restore the newest state in the folder into ``state`` and ``trainer``.

        All other states in the folder are removed, and all best epochs that the restored state does not name.
        If the folder contains no state, ``state`` and ``trainer`` do not change.

        Raises
        ------
        OtherTrainingError
            If the state has another format, or belongs to a training run with other inputs, such as other
            sentences or settings.
        DamagedStateError
            If the state or its best epoch is damaged.
        WriteError
            If the folder cannot be read, or an older state or best epoch cannot be removed.
        """
        with refusing_unwritable(self.folder):
            newest = max(self._own("state"), default=None)
            if newest is None:
                self._keep_only()
                return
        try:
            text = files.read_text(newest / "state.json", files.MAX_JSON_BYTES)
            saved = files.parse_json(text, newest / "state.json")
            self._check(saved)
            arrays = read_arrays(newest, {**trainer.state, "read": state.read})
            trainer.restore(arrays)
            state.read[:] = arrays["read"]
            state.reading.state = saved["reading"]
            state.tokens_read = saved["tokens_read"]
            state.loss = Loss(float(saved["loss"]), saved["n_losses"])
            state.curve = [Epoch(**epoch) for epoch in saved["curve"]]
            if saved["best"] is not None:
                state.best = self._best(saved["best"], trainer, corpus, config)
            with refusing_unwritable(self.folder):  # removes older states, and all other best epochs
                self._keep_only(newest, state.best and self._path("best", state.best.epoch))
        except OtherTrainingError:
            raise
        except CorruptBundleError as error:
            raise DamagedStateError(str(error)) from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedStateError(
                f"{newest} is not a training state: {error!r}; remove {self.folder} to train from the start"
            ) from error

    def save(self, state: State, trainer: Trainer) -> None:
        """Write the state of the training run, and the vectors of the best epoch; then remove older folders.

        Raises
        ------
        WriteError
            If a file cannot be written, or an older folder cannot be removed.
        """
        with refusing_unwritable(self.folder):
            self._save(state, trainer)

    def _save(self, state: State, trainer: Trainer) -> None:
        last = max(self._own("state"), default=None)
        number = 1 + (0 if last is None else _number(last))
        best = None if state.best is None else self._path("best", state.best.epoch)
        if state.best is not None and best is not None and not best.exists():
            vectors = state.best.vectors
            with files.atomic_folder(best) as folder:
                write_arrays(
                    folder, _of_best(vectors.input, vectors.output, vectors.positions, state.best.new_items)
                )
        path = self._path("state", number)
        with files.atomic_folder(path) as folder:
            write_arrays(folder, {**trainer.state, "read": state.read})
            files.write_json(
                folder / "state.json", {"format": FORMAT, "identity": self.identity, **_values(state)}
            )
        self._keep_only(path, best)

    def _keep_only(self, *paths: Path | None) -> None:
        for other in self.folder.iterdir():
            if OWN.fullmatch(other.name) and other not in paths:
                shutil.rmtree(other)

    def _check(self, saved: Mapping[str, Any]) -> None:
        remedy = f"remove {self.folder} to train from the start, or set another checkpoint"
        if saved["format"] != FORMAT:
            raise OtherTrainingError(
                f"checkpoint {self.folder} has format {saved['format']}; expected {FORMAT}; {remedy}"
            )
        for name, ours in self.identity.items():
            theirs = saved["identity"].get(name)
            if theirs != ours:
                raise OtherTrainingError(
                    f"checkpoint {self.folder} belongs to a training run with {name} {short_repr(theirs)}; "
                    f"expected {short_repr(ours)}; {remedy}"
                )

    def _best(self, number: int, trainer: Trainer, corpus: Corpus, config: TrainConfig) -> Best:
        new = trainer.new_items
        like = _of_best(trainer.input, trainer.scored, trainer.positions, new)
        arrays = read_arrays(self._path("best", number), like)
        vectors = ItemVectors(
            corpus.vocabulary,
            arrays["input"],
            arrays.get("output"),
            corpus.counts,
            config,
            positions=arrays.get("positions"),
        )
        new = None if new is None else NewItems(new.ids, arrays["new_input"], arrays["new_output"])
        return Best(number, vectors, new)

    def _path(self, kind: str, number: int) -> Path:
        return self.folder / f"{kind}-{number:08d}"

    def _own(self, kind: str) -> list[Path]:
        """Return the complete folders of a kind ("state" or "best"), in any order."""
        return [
            path
            for path in self.folder.iterdir()
            if (name := OWN.fullmatch(path.name)) and name["kind"] == kind
        ]


def remove_checkpoint(folder: Path) -> bool:
    """Remove the states of a training run from a folder, and the folder if nothing else is in it.

    Return whether the folder contained a state, complete or not.

    Raises
    ------
    LockHeldError
        If a training run, in this or another process, uses the folder.
    WriteError
        If a state cannot be removed.
    """
    if not folder.is_dir():
        return False
    checkpoint = Checkpoint(folder, {})
    with checkpoint.locked(), refusing_unwritable(folder):
        has_state = any(OWN.fullmatch(path.name) for path in folder.iterdir())
        checkpoint._keep_only()
        if not any(folder.iterdir()):
            folder.rmdir()
    return has_state


def identity_of(
    config: TrainConfig,
    sentences: Sentences | ShardedSentences,
    validation: Validation | None,
    start: ItemVectors | None,
    items: Items | None,
    *,
    freeze: bool,
) -> dict[str, Any]:
    """Return a dict of JSON values that identify the inputs of a training run; the keys describe the inputs.

    The number of workers is not included, so that a run can continue with more or fewer workers.
    """
    attributes = config.attributes if isinstance(config, NextItem) and items is not None else ()
    columns = [items.column(name) for name in attributes] if items is not None else []
    return {
        "sentences": sentences.fingerprint(),
        **config.model_dump(mode="json", exclude={"workers"}),
        "validation": None if validation is None else validation.sentences.fingerprint(),
        "taste in validation": None if validation is None else validation.taste.model_dump(mode="json"),
        "start": None if start is None else _digest(start.vocabulary.ids, start.input, start.output),
        "freeze": freeze,
        "values of attributes": _digest(
            items.vocabulary.ids if items is not None and attributes else (),
            *(array for column in columns for array in (column.rows, column.codes)),
        ),
    }


def _digest(ids: Sequence[str], *arrays: npt.NDArray[Any] | None) -> str:
    digest = hashlib.sha256(json.dumps([*ids]).encode())
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _values(state: State) -> dict[str, Any]:
    """Return the content of a state, except arrays, as JSON values."""
    return {
        "reading": state.reading.state,
        "tokens_read": state.tokens_read,
        "loss": str(state.loss.total),  # text, because a sum may be infinite
        "n_losses": state.loss.n,
        "curve": [asdict(epoch) for epoch in state.curve],
        "best": None if state.best is None else state.best.epoch,
    }


def _of_best(
    input_: Floats, output: Floats | None, positions: Floats | None, new: NewItems | None
) -> dict[str, Floats]:
    """Return the arrays of the best epoch by name, without those that are ``None``."""
    arrays = {"input": input_, "output": output, "positions": positions}
    if new is not None:
        arrays |= {"new_input": new.input, "new_output": new.output}
    return {name: array for name, array in arrays.items() if array is not None}


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
