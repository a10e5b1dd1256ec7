"""Settings are checked before any work, by name and by range, and stay as they are."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.errors import ConfigError

NAMES = tuple(TrainConfig.model_fields)


def test_gensim_names_keep_their_names():
    sizes = "vector_size window min_count epochs workers seed"
    losses = "sample negative ns_exponent hs cbow_mean shrink_windows alpha min_alpha"
    assert {*sizes.split(), *losses.split()} <= set(NAMES)
    assert TrainConfig().workers == len(os.sched_getaffinity(0))


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(NAMES), st.integers(0, 20), st.characters(categories=["Ll"]))
def test_a_misspelt_name_is_answered_with_the_nearest(name, place, character):
    if len(name) < 4:
        return
    misspelt = name[: place % len(name)] + character + name[place % len(name) + 1 :]
    if misspelt in NAMES:
        return
    with pytest.raises(ConfigError, match=f"unknown setting '{misspelt}'; did you mean '{name}'"):
        TrainConfig(**{misspelt: 1})


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(ConfigError, match="unknown setting 'xyz'; known are score, decay, half_life, last_n"):
        TasteConfig(xyz=1)


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("vector_size", [1, 4096], [0, -1, 4097, 64.0, "64", None, True]),
        ("window", [1, 5, 1_000_000, "full"], [0, -5, 2**31, 10**30, 5.0, "ful", "5", None, True]),
        ("min_count", [1, 10**6], [0, -1, 1.5, True, None]),
        ("sample", [0, 0.0, 1e-5, 0.999], [1, 1.0, -1e-9, np.nan, np.inf, "0", False, None]),
        ("negative", [1, 1000], [-1, 1001, 5.0, True, None]),
        ("ns_exponent", [-2, -0.5, 0, 0.75, 2], [-2.1, 2.1, np.nan, np.inf, "1", None]),
        ("hs", [True, False, 1, 0], [2, -1, 1.0, "yes", None]),
        ("cbow_mean", [True, False, 1, 0], [2, -1, 1.0, "yes", None]),
        ("shrink_windows", [True, False, 1, 0], [2, -1, 1.0, "yes", None]),
        ("alpha", [1e-3, 1, 100, 1000], [0, -0.1, np.nan, np.inf, 1e30, 1e300, "x", None]),
        ("min_alpha", [0, 0.05], [-0.1, np.nan, np.inf, 0.051, None]),
        ("epochs", [1, 100_000], [0, -1, 100_001, 2.0, "5", True, None]),
        ("workers", [1, 1024], [0, -1, 1025, 1.0, None]),
        ("seed", [0, 2**32 - 1], [-1, 2**32, 1.5, None, "seed"]),
        ("patience", [None, 1, 5], [0, -1, 1.5, True]),
        ("objective", ["skipgram", "cbow"], ["skip-gram", "sg", "", None, 1]),
        ("backend", ["gensim"], ["torch", None]),
    ],
)
def test_training_settings_have_ranges(setting, good, bad):
    for value in good:
        assert getattr(TrainConfig(**{setting: value}), setting) == value
    for value in bad:
        with pytest.raises(ConfigError, match=setting):
            TrainConfig(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("score", ["cosine", "output"], ["dot", None, True]),
        ("decay", [1e-9, 0.5, 1, 1.0], [0, -0.5, 1.1, np.nan, np.inf, None, True]),
        ("half_life", [None, 0.01, 7, 1e6], [0, -1, np.nan, np.inf, "7", True]),
        ("last_n", [None, 1, 100], [0, -1, 1.5, True]),
    ],
)
def test_taste_settings_have_ranges(setting, good, bad):
    for value in good:
        assert getattr(TasteConfig(**{setting: value}), setting) == value
    for value in bad:
        with pytest.raises(ConfigError, match=setting):
            TasteConfig(**{setting: value})


def test_a_wrong_value_is_told_with_what_was_expected():
    with pytest.raises(
        ConfigError, match="objective is 'skip-gram'; expected 'skipgram' or 'cbow'; did you mean 'skipgram'"
    ):
        TrainConfig(objective="skip-gram")
    with pytest.raises(ConfigError, match=r"unknown setting .vectorsize.*; epochs is 0; expected at least 1"):
        TrainConfig(epochs=0, vectorsize=64)
    with pytest.raises(ConfigError, match=r"^window is 0; expected at least 1, or 'full'$"):
        TrainConfig(window=0)


def test_settings_that_train_nothing_together_are_refused():
    with pytest.raises(ConfigError, match="negative=0 trains nothing without hs=True"):
        TrainConfig(negative=0)
    assert TrainConfig(negative=0, hs=True).negative == 0
    with pytest.raises(ConfigError, match=r"min_alpha is 0\.1; expected at most alpha, which is 0\.01"):
        TrainConfig(alpha=0.01, min_alpha=0.1)
    with pytest.raises(ConfigError, match="score='output' needs output vectors"):
        Config(train=TrainConfig(negative=0, hs=True), taste=TasteConfig(score="output"))


def test_numbers_of_numpy_are_numbers():
    found = TrainConfig(
        epochs=np.int32(3),
        alpha=np.float32(0.5),
        hs=np.bool_(True),
        seed=np.uint32(7),
        sample=np.float64(0),
        objective=np.str_("cbow"),
    )
    assert found == TrainConfig(epochs=3, alpha=0.5, hs=True, seed=7, sample=0, objective="cbow")
    assert type(found.epochs) is int
    for wrong in (np.float64(3), np.bool_(True)):
        with pytest.raises(ConfigError):
            TrainConfig(epochs=wrong)


def test_replace_checks_anew_and_changes_nothing():
    config = TrainConfig(epochs=5, window="full")
    assert config.replace(epochs=6) == TrainConfig(epochs=6, window="full")
    assert config.epochs == 5
    for wrong in ({"epochs": 0}, {"epoch": 6}, {"min_alpha": 1.0}):
        with pytest.raises(ConfigError):
            config.replace(**wrong)
    whole = Config(train=config, taste=TasteConfig(decay=0.5)).replace(index="exact")
    assert (whole.train, whole.taste.decay, whole.index) == (config, 0.5, "exact")


def test_a_whole_configuration_survives_json():
    config = Config(
        train=TrainConfig(window="full", hs=True, patience=2), taste=TasteConfig(half_life=7), index="annoy"
    )
    assert Config(**config.model_dump(mode="json")) == config
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        Config(train={"epoch": 5})


def test_settings_cannot_be_changed():
    for config in (TrainConfig(), TasteConfig(), Config()):
        for name in type(config).model_fields:
            with pytest.raises(ValueError, match="frozen"):
                setattr(config, name, getattr(config, name))
        assert hash(config) == hash(type(config)(**config.model_dump()))
