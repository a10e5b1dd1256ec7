"""Random sequences of changes to a models folder, some of them killed, agree with a simple model."""

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
POSITIONS = st.integers(0, 50)
OPERATIONS = st.integers(1, 60)


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.models = Path(tempfile.mkdtemp()) / "models"
        self.seed_of = {}  # by id, for every version ever published, oldest first
        self.present = set()
        self.damaged = set()
        self.pinned = set()
        self.leased = {}
        self.held = None  # seeds of the models on hold
        self.served = self.previous = None
        self.generation = 0
        self.crashed = False

    def teardown(self):
        self.leased.clear()
        shutil.rmtree(self.models.parent)

    def version_at(self, position):
        version_ids = sorted(self.present)
        return version_ids[position % len(version_ids)]

    def promoted(self, version):
        assert version.generation > self.generation
        assert version.previous == self.served
        self.generation, self.previous, self.served = version.generation, self.served, version.id

    def published(self, version, seed):
        assert version.id not in self.seed_of
        self.promoted(version)
        self.seed_of[version.id] = seed
        self.present.add(version.id)

    def target(self):
        """The version that a rollback serves if none is specified."""
        older = sorted(id_ for id_ in self.present if id_ < self.served)
        return self.previous if self.previous in older else (older or [None])[-1]

    def rolled_back(self, version, to):
        assert version.id == to
        held = (self.held or set()) | ({self.seed_of[self.served]} - self.damaged_seeds(self.served))
        self.held = held - {self.seed_of[to]}
        self.promoted(version)

    def damaged_seeds(self, id_):
        return {self.seed_of[id_]} if id_ in self.damaged else set()

    def removable(self, keep):
        """The versions that gc may remove."""
        newest = set(sorted(self.present)[-keep:])
        return self.present - newest - self.pinned - set(self.leased) - {self.served, self.previous}

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

    @rule(position=st.none() | POSITIONS)
    def rollback(self, position):
        to = None if position is None else self.version_at(position)
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

    @rule(position=POSITIONS)
    def pin(self, position):
        versions.pin(self.models, self.version_at(position))
        self.pinned.add(self.version_at(position))

    @rule(position=POSITIONS)
    def unpin(self, position):
        versions.unpin(self.models, self.version_at(position))
        self.pinned.discard(self.version_at(position))

    @rule()
    def lease(self):
        version, model = versions.load_served(self.models)
        self.leased.setdefault(version.id, model)

    @precondition(lambda self: self.leased)
    @rule(position=POSITIONS)
    def unlease(self, position):
        del self.leased[sorted(self.leased)[position % len(self.leased)]]

    @rule(keep=st.integers(1, 4))
    def gc(self, keep):
        expected = self.removable(keep)
        removed = {version.id for version in versions.gc(self.models, keep=keep)}
        assert removed == expected
        self.present -= removed
        self.crashed = False

    @rule(position=POSITIONS)
    def damage(self, position):
        id_ = self.version_at(position)
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
        version = versions.served_version(self.models)
        if version.id != self.served:
            self.published(version, seed)

    @rule(number=OPERATIONS)
    def rollback_and_die(self, number):
        target = self.target()
        if target is None or target in self.damaged:
            return
        self.die(lambda: versions.rollback(self.models, reason="a test"), number)
        version = versions.served_version(self.models)
        if version.id != self.served:
            self.rolled_back(version, target)

    @rule(keep=st.integers(1, 3), number=st.integers(1, 30))
    def gc_and_die(self, keep, number):
        self.die(lambda: versions.gc(self.models, keep=keep), number)
        gone = self.present - {version.id for version in versions.list_versions(self.models)}
        assert gone <= self.removable(keep)
        self.present -= gone

    def die(self, action, number):
        exit_code = outcome(action, number, kill)
        assert exit_code in {DONE, NOT_REACHED, -signal.SIGKILL}
        self.crashed = True

    @invariant()
    def served_version_is_complete(self):
        if self.served is not None:
            version = versions.served_version(self.models)
            assert (version.id, version.previous, version.generation) == (
                self.served,
                self.previous,
                self.generation,
            )
            assert served_seed(self.models) == self.seed_of[self.served]

    @invariant()
    def states_agree_with_the_model(self):
        if self.served is None:
            return
        states_of = {row.version.id: set(row.states) for row in versions.overview(self.models)}
        assert self.present == set(states_of) or (self.crashed and self.present < set(states_of))
        assert self.crashed or litter(self.models) == []
        assert versions.pinned(self.models) & self.present == self.pinned & self.present
        hold = versions.held(self.models)
        assert (hold is None) == (self.held is None)
        for id_ in self.present:
            expected = {
                "served": id_ == self.served,
                "previous": id_ == self.previous,
                "pinned": id_ in self.pinned,
                "leased": id_ in self.leased,
                "damaged": id_ in self.damaged,
                "held": id_ not in self.damaged and self.seed_of[id_] in (self.held or set()),
            }
            assert states_of[id_] == {state for state, applies in expected.items() if applies}


def play(n_examples, n_steps, folder):
    quick = settings(
        max_examples=n_examples,
        stateful_step_count=n_steps,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(without_canary(folder))
        run_state_machine_as_test(Machine, settings=quick)


def test_random_sequences_of_changes(tmp_path):
    play(12, 15, tmp_path)


@pytest.mark.exhaustive
def test_long_random_sequences_of_changes(tmp_path):
    play(60, 40, tmp_path)
