"""``Interactions``: events of users with items, in parallel columns with one row per interaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arguments import as_array, check_fields, check_rows, checked
from item2vec.arrays import Codes, Floats, Offsets
from item2vec.durations import PLAUSIBLE, TICKS, UNIT_NAMES, microseconds_of
from item2vec.errors import InputError, InputTypeError, Remedy, listed, short_repr
from item2vec.types import Vocabulary, as_history

__all__ = ["Interactions", "microseconds", "read_only", "reading_with"]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Interactions as parallel, read-only columns with one row per interaction.

    ``users``, ``items``, ``events`` and ``sessions`` are vocabularies. ``user``, ``item``, ``event`` and
    ``session`` (int32) hold codes of these vocabularies. ``timestamp`` (int64) is in microseconds since
    1970-01-01 UTC. ``weight`` (float32) is finite and non-negative. Optional columns that are absent in the
    source are ``None``. Rows are in the order of the source.

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
        check_fields(self)
        for name, dtype in _DTYPES.items():
            column = getattr(self, name)
            if column is not None or name in ("user", "item"):
                object.__setattr__(self, name, read_only(column, dtype))
        for name in _DTYPES:
            column = getattr(self, name)
            if column is not None and column.shape != self.item.shape[:1]:
                raise InputError(
                    f"column {name!r} has shape {column.shape}; expected {self.item.shape[:1]}, one value "
                    "per row of column 'item'"
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
    @checked
    def of(
        cls,
        *,
        user: Iterable[str],
        item: Iterable[str],
        timestamp: Iterable[Any] | None = None,
        weight: Iterable[float] | None = None,
        event: Iterable[str] | None = None,
        session: Iterable[str] | None = None,
    ) -> Interactions:
        """Create interactions from columns. Codes are assigned to ids in order of first appearance.

        A column is a list, an array or a pandas ``Series``. ``timestamp`` holds ``datetime`` objects (UTC if
        naive), ``datetime64`` values, or integer microseconds since 1970-01-01 UTC.

        Raises
        ------
        InputTypeError
            If an id is not text, a weight is not a number, or a timestamp is ``NaT`` or has an unsupported
            type.
        InputError
            If columns differ in length, an id is invalid (``InvalidIdError``), a weight is negative or not
            finite, or integer timestamps do not fit into int64 or appear to be in another unit (see
            ``microseconds``).
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
            values = weight if isinstance(weight, np.ndarray) else as_history(weight, "weight")
            columns["weight"] = read_only(values, np.float32)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        parts = [f"{len(self):,} rows", f"{len(self.users):,} users", f"{len(self.items):,} items"]
        if self.timestamp is not None and len(self):
            parts.append(f"{_iso(self.timestamp.min())} to {_iso(self.timestamp.max())}")
        parts += [name for name in ("weight", "event", "session") if getattr(self, name) is not None]
        return f"Interactions({', '.join(parts)})"

    @checked
    def take(self, rows: npt.NDArray[Any] | slice) -> Interactions:
        """Return the rows that a mask, row indices or a slice select. The vocabularies do not change."""
        if not isinstance(rows, slice):
            check_rows(rows, len(self))
        changed = {name: getattr(self, name)[rows] for name in _DTYPES if getattr(self, name) is not None}
        return dataclasses.replace(self, **changed)

    @checked
    def between(self, start: datetime | None = None, end: datetime | None = None) -> Interactions:
        """Return the interactions with ``start <= timestamp < end``; ``None`` for no bound.

        Naive datetimes are in UTC.

        Raises
        ------
        InputError
            If the interactions have no timestamps.
        """
        if self.timestamp is None:
            raise InputError(
                "the interactions have no timestamps; a selection by time requires them",
                remedies=[reading_with("timestamp")],
            )
        keep = np.ones(len(self), dtype=bool)
        if start is not None:
            keep &= self.timestamp >= microseconds_of(start)
        if end is not None:
            keep &= self.timestamp < microseconds_of(end)
        return self.take(keep)

    @checked
    def of_events(self, events: Iterable[str]) -> Interactions:
        """Return the interactions whose event is in ``events``.

        Raises
        ------
        InputError
            If the interactions have no event column, or an event is unknown.
        """
        names = as_history(events, "events")
        if self.event is None or self.events is None:
            raise InputError(
                "the interactions have no event column; a selection by event requires it",
                remedies=[reading_with("event")],
            )
        codes = self.events.encode(names)
        if bool((codes < 0).any()):
            unknown = names[int(np.argmin(codes))]
            raise InputError(
                f"unknown event {short_repr(unknown)}; expected an event of these interactions: "
                f"{listed(self.events.ids)}"
            )
        selected = np.zeros(len(self.events), dtype=bool)
        selected[codes] = True
        return self.take(selected[self.event])

    @checked
    def with_event_weights(self, weights: Mapping[str, float]) -> Interactions:
        """Return the interactions whose event is in ``weights``, with weights that depend on the event.

        ``weights`` maps each event to a factor. The new weight of an interaction is its weight (1 if the
        interactions have no weights) times the factor of its event.

        Raises
        ------
        InputTypeError
            If a weight is not a number.
        InputError
            If the interactions have no event column, an event is unknown, or the weight of an event is
            negative or not finite.

        Examples
        --------
        >>> shop = Interactions.of(user=["u", "u"], item=["a", "b"], event=["click", "purchase"])
        >>> shop.with_event_weights({"click": 1, "purchase": 5}).weight
        array([1., 5.], dtype=float32)
        """
        kept = self.of_events(list(weights))
        assert kept.event is not None
        assert kept.events is not None
        factors = as_array(list(weights.values()), np.float32)
        if factors.shape != (len(weights),):
            raise InputError(f"weights are {short_repr(weights)}; expected a number per event")
        for event, weight in zip(weights, factors, strict=True):
            if not 0 <= weight < np.inf:
                raise InputError(
                    f"the weight of event {short_repr(event)} is {short_repr(weights[event])}; expected a "
                    "finite number >= 0"
                )
        factor = np.zeros(len(kept.events), dtype=np.float32)
        factor[kept.events.encode(list(weights))] = factors
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
    """Return a read-only, C-contiguous view of an array. Copy only if the dtype or the memory layout differs.

    A number outside the range of a float dtype becomes infinite. The errors are those of ``as_array``.
    """
    view = as_array(array, dtype).view()
    view.flags.writeable = False
    return view


def reading_with(column: str) -> Remedy:
    """Return the advice for interactions without this optional column."""
    return Remedy(
        column,
        text="pass {} when the interactions are read",
        otherwise=f"ingest the interactions with item2vec ingest FILE --{column} COLUMN",
    )


def _check_codes(name: str, codes: Codes | None, vocabulary: Vocabulary | None) -> None:
    if codes is not None and vocabulary is None:
        raise InputError(
            f"column {short_repr(name)} was passed without its vocabulary; pass {name}s as well, or neither"
        )
    if codes is None and vocabulary is not None:
        raise InputError(
            f"vocabulary {name}s was passed without column {short_repr(name)}; pass the "
            f"column as well, or neither"
        )
    if codes is None or vocabulary is None or len(codes) == 0:
        return
    if codes.min() < 0 or codes.max() >= len(vocabulary):
        raise InputError(
            f"column {short_repr(name)} holds a code outside 0 … {len(vocabulary) - 1}: the codes range from "
            f"{codes.min()} to {codes.max()}; expected codes of the column's vocabulary"
        )


def _iso(microseconds: np.int64) -> str:
    try:
        return str(np.datetime64(int(microseconds), "us").astype("datetime64[s]")).replace("T", " ")
    except (OverflowError, ValueError):
        return f"{int(microseconds)} µs"


def microseconds(timestamps: Iterable[Any]) -> Offsets:
    """Convert timestamps to int64 microseconds since 1970-01-01 UTC.

    Timestamps are ``datetime`` objects (UTC if naive), ``datetime64`` values, or integer microseconds.

    Integers that appear to be in seconds, milliseconds or nanoseconds are rejected. An integer is plausible
    in a unit if it is a date from 1990 to 2099 in this unit. Integers are rejected in two cases: if all
    positive integers are plausible in the same one of these three units; or if more integers are plausible in
    microseconds than in any other unit, but some are plausible in another unit. Read as microseconds, the
    integers in another unit would be dates in the first 48 days of 1970, or after the year 21900.

    Raises
    ------
    InputTypeError
        If timestamps have another type, or a ``datetime64`` is ``NaT``.
    InputError
        If an integer does not fit into int64, or integers appear to be in another unit.

    Examples
    --------
    >>> microseconds([datetime(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 1)])
    array([86400000000,     1000000])
    """
    times: Sequence[Any] | npt.NDArray[Any]
    integers: Sequence[Any] | npt.NDArray[Any]
    if isinstance(timestamps, np.ndarray) and timestamps.dtype != object:
        times = integers = timestamps
    else:
        times = as_history(timestamps, "timestamps")
        integers = [time for time in times if not isinstance(time, datetime)]
        times = [microseconds_of(time) if isinstance(time, datetime) else time for time in times]
    try:
        column = np.asarray(times)
    except ValueError as error:
        raise InputTypeError(f"timestamps are {short_repr(times)}; expected a flat list of times") from error
    if column.size == 0:
        return np.zeros(0, dtype=np.int64)
    if column.dtype.kind == "u":
        _check_range([int(column.max())])
    elif column.dtype.kind not in "iM":
        each = np.asarray(times, dtype=object).flat
        _check_range([int(time) for time in each if isinstance(time, int | np.integer)])
        raise InputTypeError(
            f"timestamps have type {column.dtype}; expected datetime, datetime64 without NaT, or integer "
            "microseconds since 1970"
        )
    if column.dtype.kind == "M":
        if np.isnat(column).any():
            raise InputTypeError("a timestamp is NaT; expected datetime64 without NaT: remove these rows")
        column = column.astype("datetime64[us]")
    else:
        _check_unit(np.asarray(integers))
    return column.astype(np.int64)


def _check_range(integers: Sequence[int]) -> None:
    """Raise ``InputError`` if an integer does not fit into int64."""
    smallest, largest = min(integers, default=0), max(integers, default=0)
    if largest >= 2**63:
        raise InputError(
            f"the largest timestamp is {largest}; expected at most 2**63 - 1 microseconds since 1970"
        )
    if smallest < -(2**63):
        raise InputError(
            f"the smallest timestamp is {smallest}; expected at least -2**63 microseconds since 1970"
        )


def _check_unit(column: npt.NDArray[Any]) -> None:
    dated = column[column > 0]  # 0 and -1 often mean "missing"
    first, last = PLAUSIBLE
    votes = {
        unit: int(np.count_nonzero((dated >= first * ticks) & (dated < last * ticks)))
        for unit, ticks in TICKS.items()
    }
    n_micros = votes.pop("us")
    unit = max(votes, key=votes.__getitem__)
    if votes[unit] == len(dated) > 0:
        raise InputError(
            f"timestamps appear to be {UNIT_NAMES[unit]} since 1970 (the largest is {int(dated.max())}); "
            "expected microseconds, datetime or datetime64: pass "
            f"np.asarray(timestamps, dtype='datetime64[{unit}]')"
        )
    if n_micros > votes[unit] > 0:
        raise InputError(
            f"{sum(votes.values()):,} of {len(column):,} timestamps appear to be in another unit; expected "
            f"microseconds since 1970, as {n_micros:,} others appear to be: correct these timestamps"
        )
