"""Interactions, the input of all adapters and splits: which user, which item, when, as parallel columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.durations import microseconds_of
from item2vec.errors import InputError, InputTypeError
from item2vec.types import Vocabulary, as_history

__all__ = ["Interactions", "microseconds", "read_only"]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Parallel, read-only columns with one row per interaction.

    ``users`` and ``items`` are vocabularies; ``user`` and ``item`` (int32) hold codes into them.
    ``timestamp`` (int64) is microseconds since 1970-01-01 UTC. ``weight`` (float32) is finite and
    non-negative. ``event`` holds codes into ``events``, ``session`` codes into ``sessions``. Optional columns
    that the source lacks are ``None``. Rows keep the order of the source.

    Examples
    --------
    >>> listens = Interactions.of(
    ...     user=["ann", "bob", "ann"], item=["x", "x", "y"], timestamp=[3_000_000, 1_000_000, 2_000_000])
    >>> listens
    Interactions(3 rows, 2 users, 2 items, 1970-01-01 00:00:01 to 1970-01-01 00:00:03)
    >>> listens.take(listens.user == 0).item
    array([0, 1], dtype=int32)
    """

    users: Vocabulary
    items: Vocabulary
    user: Codes
    item: Codes
    timestamp: Offsets | None = None
    weight: Floats | None = None
    event: Codes | None = None
    events: Vocabulary | None = None
    session: Codes | None = None
    sessions: Vocabulary | None = None

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            column = getattr(self, name)
            if column is not None:
                object.__setattr__(self, name, read_only(column, dtype))
                if len(getattr(self, name)) != len(self.item):
                    raise InputError(
                        f"column {name!r} has {len(column):,} rows; expected {len(self.item):,}, as in 'item'"
                    )
        for name, vocabulary in (
            ("user", self.users),
            ("item", self.items),
            ("event", self.events),
            ("session", self.sessions),
        ):
            _check_codes(name, getattr(self, name), vocabulary)
        if self.weight is not None and not bool(np.all(np.isfinite(self.weight) & (self.weight >= 0))):
            row = int(np.flatnonzero(~(np.isfinite(self.weight) & (self.weight >= 0)))[0])
            raise InputError(f"weight in row {row} is {self.weight[row]}; expected a finite number >= 0")

    @classmethod
    def of(
        cls,
        *,
        user: Iterable[str],
        item: Iterable[str],
        timestamp: Sequence[Any] | npt.NDArray[Any] | None = None,
        weight: Sequence[float] | Floats | None = None,
        event: Iterable[str] | None = None,
        session: Iterable[str] | None = None,
    ) -> Interactions:
        """Create interactions from columns of ids; codes are assigned in order of first appearance.

        ``timestamp`` holds ``datetime`` (naive: UTC), ``datetime64``, or whole microseconds since 1970.

        Raises
        ------
        InputTypeError
            If an id is not text, or a timestamp is of an unsupported type.
        InputError
            If the timestamps look like seconds, milliseconds or nanoseconds since 1970.
        """
        columns: dict[str, Any] = {}
        for name, plural, column in (
            ("user", "users", user),
            ("item", "items", item),
            ("event", "events", event),
            ("session", "sessions", session),
        ):
            if column is not None:
                ids = as_history(column, name)
                columns[plural] = Vocabulary.of(ids)
                columns[name] = columns[plural].encode(ids)
        if timestamp is not None:
            columns["timestamp"] = microseconds(timestamp)
        if weight is not None:
            columns["weight"] = read_only(weight, np.float32)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        parts = [f"{len(self):,} rows", f"{len(self.users):,} users", f"{len(self.items):,} items"]
        if self.timestamp is not None and len(self):
            parts.append(f"{_iso(self.timestamp.min())} to {_iso(self.timestamp.max())}")
        parts += [name for name in ("weight", "event", "session") if getattr(self, name) is not None]
        return f"Interactions({', '.join(parts)})"

    def take(self, rows: npt.NDArray[Any] | slice) -> Interactions:
        """Return the selected rows (a mask, positions or a slice), with the same vocabularies."""
        changed = {name: getattr(self, name)[rows] for name in _DTYPES if getattr(self, name) is not None}
        return dataclasses.replace(self, **changed)

    def between(self, start: datetime | None = None, end: datetime | None = None) -> Interactions:
        """Return the rows with ``start <= timestamp < end``; a naive datetime is UTC.

        Raises
        ------
        InputError
            If the interactions have no timestamp.
        """
        if self.timestamp is None:
            raise InputError("a time range needs timestamps; name the column with timestamp=")
        keep = np.ones(len(self), dtype=bool)
        if start is not None:
            keep &= self.timestamp >= microseconds_of(start)
        if end is not None:
            keep &= self.timestamp < microseconds_of(end)
        return self.take(keep)

    def of_events(self, events: Iterable[str]) -> Interactions:
        """Return the rows of the given events.

        Raises
        ------
        InputError
            If the interactions have no event column, or a given event never occurs.
        """
        names = as_history(events, "events")
        if self.event is None or self.events is None:
            raise InputError("filtering by event needs an event column; name it with event=")
        codes = self.events.encode(names)
        if bool((codes < 0).any()):
            unknown = names[int(np.argmin(codes))]
            raise InputError(f"no event {unknown!r} in the data; found {', '.join(self.events.ids[:10])}")
        selected = np.zeros(len(self.events), dtype=bool)
        selected[codes] = True
        return self.take(selected[self.event])

    def with_event_weights(self, weights: Mapping[str, float]) -> Interactions:
        """Return the rows of the given events, with weights multiplied by the weight of their event.

        >>> shop = Interactions.of(user=["u", "u"], item=["a", "b"], event=["click", "purchase"])
        >>> shop.with_event_weights({"click": 1, "purchase": 5}).weight
        array([1., 5.], dtype=float32)

        Raises
        ------
        InputError
            If the interactions have no event column, or a given event never occurs.
        """
        kept = self.of_events(weights)
        assert kept.event is not None
        assert kept.events is not None
        factor = np.zeros(len(kept.events), dtype=np.float32)
        factor[kept.events.encode(weights)] = list(weights.values())
        base = np.float32(1) if kept.weight is None else kept.weight
        return dataclasses.replace(kept, weight=factor[kept.event] * base)


_DTYPES: dict[str, type] = {
    "user": np.int32,
    "item": np.int32,
    "timestamp": np.int64,
    "weight": np.float32,
    "event": np.int32,
    "session": np.int32,
}


def read_only(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a read-only, C-ordered view of an array; copy only if its type or order has to change.

    A number beyond the range of a float type becomes infinite.
    """
    with np.errstate(over="ignore"):
        view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def _check_codes(name: str, codes: Codes | None, vocabulary: Vocabulary | None) -> None:
    if (codes is None) != (vocabulary is None):
        raise InputError(f"column {name!r} and its vocabulary come together; found one without the other")
    if codes is None or vocabulary is None or len(codes) == 0:
        return
    if codes.min() < 0 or codes.max() >= len(vocabulary):
        raise InputError(f"column {name!r} holds a code outside 0 … {len(vocabulary) - 1}")


def _iso(microseconds: np.int64) -> str:
    try:
        return str(np.datetime64(int(microseconds), "us").astype("datetime64[s]")).replace("T", " ")
    except (OverflowError, ValueError):
        return f"{int(microseconds)} µs"


def microseconds(timestamps: Sequence[Any] | npt.NDArray[Any]) -> Offsets:
    """Return timestamps as int64 microseconds since 1970-01-01 UTC.

    Accepts ``datetime`` (naive: UTC), ``datetime64``, or whole numbers, which must be microseconds already.

    >>> microseconds([datetime(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 1)])
    array([86400000000,     1000000])

    Raises
    ------
    InputError
        If whole numbers are in another unit, that is, if all positive ones are dates from 1990 to 2100 when
        read as seconds, milliseconds or nanoseconds. Read as microseconds, such numbers lie in the first 48
        days of 1970 or after the year 21900.
    """
    has_dates = False
    if not isinstance(timestamps, np.ndarray):
        timestamps = list(timestamps)
        has_dates = any(isinstance(time, datetime) for time in timestamps)
        timestamps = [microseconds_of(time) if isinstance(time, datetime) else time for time in timestamps]
    column = np.asarray(timestamps)
    if column.size == 0:
        return np.zeros(0, dtype=np.int64)
    if column.dtype.kind not in "iuM" or np.any(np.isnat(column) if column.dtype.kind == "M" else False):
        raise InputTypeError(
            f"timestamps of type {column.dtype}; expected datetime, datetime64 or microseconds"
        )
    if column.dtype.kind == "M":
        column = column.astype("datetime64[us]")
    elif not has_dates:
        _check_unit(column)
    return column.astype(np.int64)


_OTHER_UNITS = {"s": ("seconds", 1), "ms": ("milliseconds", 1_000), "ns": ("nanoseconds", 1_000_000_000)}
_YEARS_1990_TO_2100 = (631_152_000, 4_102_444_800)  # in seconds since 1970


def _check_unit(column: npt.NDArray[Any]) -> None:
    dated = column[column > 0]  # 0 and -1 often mean "missing"
    oldest, newest = (int(dated.min()), int(dated.max())) if len(dated) else (0, 0)
    first, last = _YEARS_1990_TO_2100
    for unit, (name, per_second) in _OTHER_UNITS.items():
        if first * per_second <= oldest <= newest <= last * per_second:
            raise InputError(
                f"timestamps look like epoch {name} (the newest is {newest}); expected microseconds, "
                f"datetime or datetime64; pass np.asarray(timestamps, dtype='datetime64[{unit}]')"
            )
