"""A stateful test: after any sequence of writes, the store agrees with a model of dictionaries."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from databases import SLOW_ON_POSTGRESQL
from examples import examples
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from strategies import ids

from item2vec import Interactions, Items
from item2vec.errors import UnknownItemError
from item2vec.store import Store, event_key


@dataclass(frozen=True)
class Row:
    user: str
    item: str
    timestamp: int
    event: str
    weight: float
    session: str

    @property
    def key(self):
        return event_key(self.user, self.item, self.event, self.timestamp)

    @property
    def moment(self):
        return self.user, self.timestamp


class Machine(RuleBasedStateMachine):
    new_url: staticmethod

    users = Bundle("users")
    items = Bundle("items")

    def __init__(self):
        super().__init__()
        self.store = Store(type(self).new_url())
        self.store.upgrade()
        self.events = {}  # (source, key) -> Row
        self.positions = {}  # (source, key) -> lowest rank among the rows of a call with its user and time
        self.catalogue = {}  # id -> (title, attributes)
        self.inactive = set()
        self.known = None  # the catalogue of a reader that passes ``known``

    def teardown(self):
        self.store.close()

    @initialize(target=users, user=ids)
    def first_user(self, user):
        return user

    @initialize(target=items, item=ids)
    def first_item(self, item):
        return item

    @rule(target=users, user=ids)
    def another_user(self, user):
        return user

    @rule(target=items, item=ids)
    def another_item(self, item):
        return item

    @rule(
        rows=st.lists(
            st.builds(
                Row,
                user=users,
                item=items,
                timestamp=st.integers(-2, 2) | st.integers(-(10**16), 10**16),
                event=st.sampled_from(["none", "click"]),
                weight=st.sampled_from([0.0, 0.1, 1.0, 5.0]),
                session=st.sampled_from(["none", "s1", "S1"]),
            ),
            max_size=12,
        ),
        source=st.sampled_from(["app", "App"]),
        size=st.integers(1, 5),
        twice=st.booleans(),
    )
    def ingest(self, rows, source, size, twice):
        rows = rows + rows[::-1] if twice else rows
        columns = {name: [getattr(row, name) for row in rows] for name in Row.__dataclass_fields__}
        # datetime64 values, because small integers could be rejected as seconds since 1970.
        columns["timestamp"] = np.array(columns["timestamp"], dtype="datetime64[us]")
        before = len(self.events)
        weights, n_rows = Counter(), Counter()
        for row in rows:
            weights[row.key] += row.weight
        for row in rows:
            event, rank = (source, row.key), n_rows[row.moment]
            self.events.setdefault(event, replace(row, weight=weights[row.key]))
            self.positions[event] = min(rank, self.positions.get(event, rank))
            self.catalogue.setdefault(row.item, (None, {}))
            n_rows[row.moment] += 1
        ingested = self.store.ingest(Interactions.of(**columns), source=source, batch_size=size)
        assert ingested.n_rows == len(rows)
        assert ingested.n_new == len(self.events) - before
        assert ingested.n_repeats == len(rows) - len(weights)
        assert ingested.n_duplicate == len(weights) - ingested.n_new

    @rule(
        some=st.dictionaries(
            items,
            st.fixed_dictionaries(
                {},
                optional={
                    "title": ids,
                    "genre": st.sampled_from(["jazz", "soul", ["jazz", "soul"], None]),
                    "year": st.sampled_from([1983, 1983.0]),
                },
            ),
            max_size=4,
        ),
        replace=st.booleans(),
    )
    def ingest_items(self, some, replace):
        n_known = len(some.keys() & self.catalogue.keys())
        given = {name for row in some.values() for name in row}
        for item, row in some.items():
            title, attributes = self.catalogue.get(item, (None, {}))
            old = {} if replace else {"title": title, **attributes}
            new = {name: value for name, value in old.items() if name not in given} | row
            self.catalogue[item] = (new.pop("title", None), new)
        ingested = self.store.ingest_items(Items.of(some), replace=replace)
        assert (ingested.n_rows, ingested.n_duplicate) == (len(some), n_known)

    @rule(some=st.lists(items, max_size=3), active=st.booleans())
    def set_active(self, some, active):
        change = self.store.activate_items if active else self.store.deactivate_items
        if not {*some} <= self.catalogue.keys():
            with pytest.raises(UnknownItemError):
                change(some)
            return
        changing = {*some} & self.inactive if active else {*some} - self.inactive
        assert change(some) == len(changing)
        self.inactive ^= changing

    @rule(user=users)
    def forget_user(self, user):
        gone = [key for key, row in self.events.items() if row.user == user]
        for key in gone:
            del self.events[key], self.positions[key]
        assert self.store.forget_user(user) == len(gone)

    @rule()
    def open_again(self):
        self.store.close()

    @rule(user=users, limit=st.integers(1, 5))
    def history(self, user, limit):
        expected = [row for row in self._rows() if row.user == user][-limit:]
        history = self.store.history(user, limit=limit)
        assert history.items == [row.item for row in expected]
        assert history.timestamps.tolist() == [row.timestamp for row in expected]
        assert history.weights.tolist() == np.float32([row.weight for row in expected]).tolist()

    def _rows(self):
        """Return the events in the order of the store."""

        def order(event):
            source, key = event
            return *self.events[event].moment, self.positions[event], key, source

        return [self.events[event] for event in sorted(self.events, key=order)]

    @rule(events=st.none() | st.lists(st.sampled_from(["none", "click", "other"]), max_size=2))
    def interactions(self, events):
        rows = [row for row in self._rows() if events is None or row.event in events]
        interactions = self.store.interactions(events=events)
        for name in ("user", "item", "event", "session"):
            expected = [getattr(row, name) for row in rows]
            codes, vocabulary = getattr(interactions, name), getattr(interactions, f"{name}s")
            assert expected == (["none"] * len(rows) if codes is None else vocabulary.decode(codes))
            assert vocabulary is None or vocabulary.ids == tuple(sorted({*expected}))
        assert interactions.timestamp.tolist() == [row.timestamp for row in rows]
        weights = np.ones(len(rows)) if interactions.weight is None else interactions.weight
        assert weights.tolist() == np.float32([row.weight for row in rows]).tolist()

    @invariant()
    def the_catalogue_agrees(self):
        items = self.store.items()
        assert items.vocabulary.ids == tuple(sorted(self.catalogue))
        assert list(zip(items.titles, items.attributes, strict=True)) == [
            self.catalogue[item] for item in sorted(self.catalogue)
        ]
        assert self.store.inactive_items() == sorted(self.inactive)
        jazz = {"jazz", ("jazz", "soul")}
        of_genre = {
            item
            for item, (_, row) in self.catalogue.items()
            if (tuple(row["genre"]) if isinstance(row.get("genre"), list) else row.get("genre")) in jazz
        }
        if any("genre" in row for _, row in self.catalogue.values()):
            assert self.store.items_where({"genre": "jazz"}) == sorted(of_genre - self.inactive)
        self.known = self.store.catalogue(self.known)
        inactive = self.known.items.vocabulary.decode(np.flatnonzero(~self.known.active))
        assert sorted(inactive) == sorted(self.inactive)

    @invariant()
    def the_counts_agree(self):
        summary = self.store.summary()
        assert summary["n_interactions"] == len(self.events)
        assert summary["n_items"] == len(self.catalogue)
        assert summary["n_users"] == len({row.user for row in self.events.values()})
        assert summary["n_inactive"] == len(self.inactive)


@pytest.mark.parametrize("new_url", SLOW_ON_POSTGRESQL, indirect=True)
def test_the_store_agrees_with_a_model_of_dictionaries(new_url):
    class OnThisDatabase(Machine):
        pass

    OnThisDatabase.new_url = staticmethod(new_url)
    run_state_machine_as_test(
        OnThisDatabase,
        settings=examples(12, stateful_step_count=15, suppress_health_check=list(HealthCheck)),
    )
