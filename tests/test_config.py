"""Settings are checked before any work, by name and by range, and stay as they are."""

from __future__ import annotations

import os
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item2vec.config import Config, TasteConfig, TrainConfig
from item2vec.config.model import NEXT_ITEM
from item2vec.errors import ConfigError

NAMES = tuple(TrainConfig.model_fields)
NOT_DECAYS = [(), (0.5, 1.1), (0.5, 0), (np.nan,), (True, 0.5), ("0.5",), ((0.5,),), "0.5", {0.5: 0.9}, None]


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
        ("context_decay", [(0.5,), (1e-9, 1.0), (1, 1, 1), (0.5,) * 64], [0.5, *NOT_DECAYS]),
        ("dropout", [0, 0.0, 0.999], [1, 1.0, -1e-9, np.nan, np.inf, "0", True, None]),
        ("weight_decay", [0, 0.0, 0.999], [1, 1.0, -1e-9, np.nan, np.inf, "0", True, None]),
        ("forward_only", [False, 0], [2, -1, 1.0, "yes", None]),
        ("objective", ["skipgram", "cbow", "next_item"], ["skip-gram", "sg", "", None, 1]),
        ("backend", ["gensim", "numba"], ["torch", None]),
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
        ("decay", [1e-9, 0.5, 1, 1.0], [0, -0.5, 1.1, np.nan, np.inf, True]),
        ("decay", [(0.5,), (1e-9, 1.0), (1, 1, 1), (0.5,) * 64], NOT_DECAYS),
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
        ConfigError,
        match="objective is 'skip-gram'; expected 'skipgram', 'cbow' or 'next_item'; did you mean 'skipgram'",
    ):
        TrainConfig(objective="skip-gram")
    with pytest.raises(ConfigError, match=r"unknown setting .vectorsize.*; epochs is 0; expected at least 1"):
        TrainConfig(epochs=0, vectorsize=64)
    with pytest.raises(ConfigError, match=r"^window is 0; expected at least 1, or 'full'$"):
        TrainConfig(window=0)
    with pytest.raises(ConfigError, match=r"^decay is 2; expected less than or equal to 1$"):
        TasteConfig(decay=(0.5, 2))
    with pytest.raises(
        ConfigError, match=r"^decay is 'x'; expected a valid number, or numbers such as \(0\.5"
    ):
        TasteConfig(decay="x")
    for wrong in (0.5, ()):
        with pytest.raises(ConfigError, match=r"expected numbers such as \(0\.5, 0\.9\)$"):
            TrainConfig(context_decay=wrong)


def test_settings_that_train_nothing_together_are_refused():
    with pytest.raises(ConfigError, match="negative=0 trains nothing without hs=True"):
        TrainConfig(negative=0)
    assert TrainConfig(negative=0, hs=True).negative == 0
    with pytest.raises(ConfigError, match=r"min_alpha is 0\.1; expected at most alpha, which is 0\.01"):
        TrainConfig(alpha=0.01, min_alpha=0.1)
    with pytest.raises(ConfigError, match="score='output' needs output vectors"):
        Config(train=TrainConfig(negative=0, hs=True), taste=TasteConfig(score="output"))


@pytest.mark.parametrize(
    ("together", "told"),
    [
        ({"objective": "next_item", "backend": "gensim"}, "'next_item' is not known to gensim"),
        ({"objective": "next_item", "hs": True}, "hs=True is for backend=.gensim."),
        ({"backend": "numba", "hs": True}, "hs=True is for backend=.gensim."),
        ({"backend": "numba", "hs": True, "negative": 0}, "hs=True is for backend=.gensim."),
        ({"objective": "next_item", "sample": 1e-4}, "'next_item' skips no items; set sample=0"),
        ({"objective": "next_item", "negative": 0}, "negative=0 trains nothing"),
        ({"objective": "next_item", "min_alpha": 0.09}, r"expected at most alpha, which is 0\.08"),
        ({"forward_only": True}, "forward_only=True is not known to gensim; set backend='numba'"),
        ({"objective": "next_item", "vector_size": 65}, "vector_size is 65; expected a multiple of 2"),
        (
            {"objective": "next_item", "vector_size": 256, "context_decay": (0.1, 0.5, 0.9)},
            r"vector_size is 256; expected a multiple of 3, .* context_decay=\(0\.1, 0\.5, 0\.9\)",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(together, told):
    with pytest.raises(ConfigError, match=told):
        TrainConfig(**together)


def test_settings_that_go_together():
    assert TrainConfig(backend="numba", forward_only=True).forward_only
    assert TrainConfig(objective="next_item", forward_only=True).forward_only
    assert TrainConfig(objective="next_item", vector_size=65, context_decay=(0.5,)).vector_size == 65
    assert TrainConfig(vector_size=65).vector_size == 65


def test_next_item_has_defaults_of_its_own():
    plain, ours = TrainConfig(), TrainConfig(objective="next_item")
    assert {name: getattr(ours, name) for name in NAMES if getattr(ours, name) != getattr(plain, name)} == {
        "objective": "next_item",
        **NEXT_ITEM,
    }
    assert ours == TrainConfig(objective="next_item", **NEXT_ITEM)
    assert plain.replace(objective="next_item") == ours
    assert ours.replace(objective="skipgram") == plain
    assert ours.replace(seed=1) == ours


given_by_hand = st.fixed_dictionaries(
    {},
    optional={
        "vector_size": st.sampled_from([4, 64, 256]),
        "window": st.sampled_from([10, 50, "full"]),
        "negative": st.sampled_from([5, 512]),
        "ns_exponent": st.sampled_from([0.25, 0.5]),
        "alpha": st.sampled_from([0.05, 0.08]),
        "epochs": st.sampled_from([15, 40]),
        "seed": st.integers(0, 9),
        "dropout": st.sampled_from([0.0, 0.3]),
        "context_decay": st.sampled_from([(0.5,), (0.5, 0.9), (0.1, 0.2, 0.3, 0.4)]),
    },
)


@settings(deadline=None, max_examples=100)
@given(given_by_hand, given_by_hand)
def test_what_was_given_wins_over_the_defaults_of_next_item(first, then):
    expected = {**NEXT_ITEM, **first, **then}
    if "vector_size" not in {**first, **then}:
        expected["vector_size"] = 128 * len(expected.get("context_decay", (0.5, 0.9)))
    for made in (
        TrainConfig(objective="next_item", **{**first, **then}),
        TrainConfig(**first).replace(objective="next_item", **then),
        TrainConfig(**first).replace(objective="next_item").replace(**then),
        TrainConfig(objective="next_item", **first).replace(**then),
        TrainConfig(**first).replace(**then).replace(objective="next_item"),
    ):
        assert {name: getattr(made, name) for name in expected} == expected


def test_a_taste_reads_as_was_trained_unless_told_otherwise():
    ours = TrainConfig(objective="next_item", context_decay=(0.4, 0.8))
    whole = Config(train=ours)
    assert whole.taste == TasteConfig(decay=(0.4, 0.8))
    assert Config(train=ours, taste=TasteConfig(last_n=5)).taste == TasteConfig(decay=(0.4, 0.8), last_n=5)
    assert Config(train=ours, taste=TasteConfig(decay=0.7)).taste.decay == 0.7
    assert Config(train=ours.replace(context_decay=(0.4,))).taste.decay == 0.4
    assert Config(train=TrainConfig(context_decay=(0.4, 0.8))).taste.decay == 0.7
    changed = whole.replace(train=ours.replace(context_decay=(0.3, 0.6)))
    assert changed.taste.decay == (0.3, 0.6)
    assert changed.replace(train=TrainConfig()) == Config()
    kept = Config(train=ours, taste=TasteConfig(last_n=5)).replace(train=TrainConfig())
    assert kept.taste == TasteConfig(last_n=5)
    assert whole.replace(taste=TasteConfig(decay=0.5)).replace(index="exact").taste.decay == 0.5


def test_a_taste_of_more_parts_than_divide_the_vectors_is_refused():
    told = r"decay=\(0\.5, 0\.7, 0\.9\) reads 3 parts of the vectors; .* found 64"
    with pytest.raises(ConfigError, match=told):
        Config(taste=TasteConfig(decay=(0.5, 0.7, 0.9)))
    fits = Config(train=TrainConfig(vector_size=66), taste=TasteConfig(decay=(0.5, 0.7, 0.9)))
    assert fits.taste.decay == (0.5, 0.7, 0.9)


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
    found = TrainConfig(context_decay=[np.float32(0.5), np.float64(1)], dropout=np.float32(0.5))
    assert found == TrainConfig(context_decay=(0.5, 1.0), dropout=0.5)
    assert {type(decay) for decay in found.context_decay} == {float}
    assert TasteConfig(decay=np.float32(0.5)).decay == 0.5
    assert TasteConfig(decay=(np.float32(0.5), np.float64(1))).decay == (0.5, 1.0)
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


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(
            train=TrainConfig(window="full", hs=True, patience=2),
            taste=TasteConfig(half_life=7),
            index="annoy",
        ),
        Config(train=TrainConfig(negative=0, hs=True)),
        Config(train=TrainConfig(objective="next_item")),
        Config(train=TrainConfig(objective="next_item", context_decay=(0.8,), window="full", patience=1)),
        Config(train=TrainConfig(objective="next_item"), taste=TasteConfig(decay=(0.1, 0.2, 0.3, 1.0))),
        Config(train=TrainConfig(objective="next_item"), taste=TasteConfig(decay=0.7, score="cosine")),
    ],
    ids=["default", "gensim", "hs", "next-item", "one-part", "four-parts", "one-decay"],
)
def test_a_whole_configuration_survives_json_and_toml(config):
    assert Config(**config.model_dump(mode="json")) == config
    assert Config(**config.model_dump()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
    read = Config(**tomllib.loads(config.to_toml()))
    assert read == config
    assert read.to_toml() == config.to_toml()


def test_a_misspelt_name_within_a_section_is_refused():
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        Config(train={"epoch": 5})


def test_settings_cannot_be_changed():
    ours = TrainConfig(objective="next_item")
    for config in (TrainConfig(), ours, TasteConfig(), TasteConfig(decay=(0.5, 0.9)), Config(train=ours)):
        for name in type(config).model_fields:
            with pytest.raises(ValueError, match="frozen"):
                setattr(config, name, getattr(config, name))
        assert hash(config) == hash(type(config)(**config.model_dump()))
