"""Any sequence of changes to a models folder, some killed half-way, leaves it as a few dictionaries say."""

import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from faults.made import made_model
from faults.operations import DONE, NOT_REACHED, kill, litter, outcome, served_seed, without_canary
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import item2vec
from item2vec import versions
from item2vec.errors import BundleNotFoundError, ConfigError, CorruptBundleError, GateRefusedError

MODELS = [made_model(seed=seed) for seed in range(3)]
SEEDS = st.integers(0, len(MODELS) - 1)
PLACES = st.integers(0, 50)
OPERATIONS = st.integers(1, 60)


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.models = Path(tempfile.mkdtemp()) / "models"
        self.seed_of = {}  # of each version that ever was, oldest first
        self.there = set()
        self.damaged = set()
        self.pinned = set()
        self.leased = {}
        self.held = None  # the seeds that are held back
        self.served = self.previous = None
        self.generation = 0
        self.crashed = False

    def teardown(self):
        self.leased.clear()
        shutil.rmtree(self.models.parent)

    def one(self, place):
        known = sorted(self.there)
        return known[place % len(known)]

    def promoted(self, version):
        assert version.generation > self.generation
        assert version.previous == self.served
        self.generation, self.previous, self.served = version.generation, self.served, version.id

    def published(self, version, seed):
        assert version.id not in self.seed_of
        self.promoted(version)
        self.seed_of[version.id] = seed
        self.there.add(version.id)

    def target(self):
        """The version that is gone back to where none is named."""
        older = sorted(id_ for id_ in self.there if id_ < self.served)
        return self.previous if self.previous in older else (older or [None])[-1]

    def rolled_back(self, version, to):
        assert version.id == to
        held = (self.held or set()) | ({self.seed_of[self.served]} - self.damaged_seeds(self.served))
        self.held = held - {self.seed_of[to]}
        self.promoted(version)

    def damaged_seeds(self, id_):
        return {self.seed_of[id_]} if id_ in self.damaged else set()

    def old(self, keep):
        """What gc may remove."""
        newest = set(sorted(self.there)[-keep:])
        return self.there - newest - self.pinned - set(self.leased) - {self.served, self.previous}

    @initialize(seed=SEEDS)
    def first(self, seed):
        self.published(item2vec.publish(MODELS[seed], self.models), seed)

    @rule(seed=SEEDS)
    def publish(self, seed):
        self.crashed = False
        if self.held and seed in self.held:
            with pytest.raises(GateRefusedError):
                item2vec.publish(MODELS[seed], self.models)
            return
        self.published(item2vec.publish(MODELS[seed], self.models), seed)

    @rule(place=st.none() | PLACES)
    def rollback(self, place):
        to = None if place is None else self.one(place)
        target = self.target() if to is None else to
        self.crashed = False
        error = None
        if target is None:
            error = BundleNotFoundError
        elif target == self.served:
            error = ConfigError
        elif target in self.damaged:
            error = CorruptBundleError
        if error is not None:
            with pytest.raises(error):
                versions.rollback(self.models, to=to, reason="a test")
            return
        self.rolled_back(versions.rollback(self.models, to=to, reason="a test"), target)

    @rule()
    def release(self):
        assert (versions.release(self.models) is None) == (self.held is None)
        self.held, self.crashed = None, False

    @rule(place=PLACES)
    def pin(self, place):
        versions.pin(self.models, self.one(place))
        self.pinned.add(self.one(place))

    @rule(place=PLACES)
    def unpin(self, place):
        versions.unpin(self.models, self.one(place))
        self.pinned.discard(self.one(place))

    @rule()
    def lease(self):
        version, model = versions.load_served(self.models)
        self.leased.setdefault(version.id, model)

    @precondition(lambda self: self.leased)
    @rule(place=PLACES)
    def unlease(self, place):
        del self.leased[sorted(self.leased)[place % len(self.leased)]]

    @rule(keep=st.integers(1, 4))
    def gc(self, keep):
        expected = self.old(keep)
        removed = {version.id for version in versions.gc(self.models, keep=keep)}
        assert removed == expected
        self.there -= removed
        self.crashed = False

    @rule(place=PLACES)
    def damage(self, place):
        id_ = self.one(place)
        if id_ != self.served:
            path = self.models / "versions" / id_ / "manifest.json"
            path.chmod(0o644)
            path.write_bytes(b"{")
            self.damaged.add(id_)

    @rule(seed=SEEDS, number=OPERATIONS)
    def publish_and_die(self, seed, number):
        if self.held and seed in self.held:
            return
        self.die(lambda: item2vec.publish(MODELS[seed], self.models), number)
        version = versions.current(self.models)
        if version.id != self.served:
            self.published(version, seed)

    @rule(number=OPERATIONS)
    def rollback_and_die(self, number):
        target = self.target()
        if target is None or target in self.damaged:
            return
        self.die(lambda: versions.rollback(self.models, reason="a test"), number)
        version = versions.current(self.models)
        if version.id != self.served:
            self.rolled_back(version, target)
            return
        # A hold without its rollback is the other way in which it may have ended.
        hold = versions.held(self.models)
        if hold is not None and (hold.version, hold.to) == (self.served, target):
            held = (self.held or set()) | ({self.seed_of[self.served]} - self.damaged_seeds(self.served))
            self.held = held - {self.seed_of[target]}

    @rule(keep=st.integers(1, 3), number=st.integers(1, 30))
    def gc_and_die(self, keep, number):
        self.die(lambda: versions.gc(self.models, keep=keep), number)
        gone = self.there - {version.id for version in versions.list_versions(self.models)}
        assert gone <= self.old(keep)
        self.there -= gone

    def die(self, action, number):
        ended = outcome(action, number, kill)
        assert ended in {DONE, NOT_REACHED, -signal.SIGKILL}
        self.crashed = True

    @invariant()
    def served_is_whole(self):
        if self.served is not None:
            version = versions.current(self.models)
            assert (version.id, version.previous, version.generation) == (
                self.served,
                self.previous,
                self.generation,
            )
            assert served_seed(self.models) == self.seed_of[self.served]

    @invariant()
    def all_else_is_as_it_should_be(self):
        if self.served is None:
            return
        seen = {one.version.id: set(one.states) for one in versions.overview(self.models)}
        assert self.there == set(seen) or (self.crashed and self.there < set(seen))
        assert self.crashed or litter(self.models) == []
        assert versions.pinned(self.models) & self.there == self.pinned & self.there
        hold = versions.held(self.models)
        assert (hold is None) == (self.held is None)
        for id_ in self.there:
            expected = {
                "served": id_ == self.served,
                "previous": id_ == self.previous,
                "pinned": id_ in self.pinned,
                "leased": id_ in self.leased,
                "damaged": id_ in self.damaged,
                "held": id_ not in self.damaged and self.seed_of[id_] in (self.held or set()),
            }
            assert seen[id_] == {state for state, holds in expected.items() if holds}


def play(n_examples, n_steps, folder):
    quick = settings(
        max_examples=n_examples,
        stateful_step_count=n_steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(without_canary(folder))
        run_state_machine_as_test(Machine, settings=quick)


def test_any_sequence_of_changes(tmp_path):
    play(12, 15, tmp_path)


@pytest.mark.slow
def test_any_long_sequence_of_changes(tmp_path):
    play(60, 40, tmp_path)
