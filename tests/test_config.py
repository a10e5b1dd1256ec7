"""Settings: names, ranges, defaults per objective, error messages, and round trips."""

from __future__ import annotations

import copy
import json
import pickle
import tomllib
from difflib import SequenceMatcher

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Sentences, fit
from item2vec.config import (
    CBOW,
    OBJECTIVES,
    AdapterConfig,
    Config,
    NextItem,
    SkipGram,
    TasteConfig,
    TrainConfig,
    of_its_objective,
)
from item2vec.errors import ConfigError
from item2vec.processes import usable_cpus

NOT_DECAYS = [(), (0.5, 1.1), (0.5, 0), (np.nan,), (True, 0.5), ("0.5",), ((0.5,),), "0.5", {0.5: 0.9}]


def test_settings_of_gensim_have_the_names_of_gensim():
    sizes = "vector_size window min_count epochs workers seed"
    losses = "sample negative ns_exponent hs cbow_mean shrink_windows alpha min_alpha"
    gensim = {*sizes.split(), *losses.split()}
    assert gensim <= CBOW.model_fields.keys()
    assert gensim - {"cbow_mean"} <= SkipGram.model_fields.keys()
    assert TrainConfig().workers == usable_cpus()


@examples(100)
@given(
    st.sampled_from(
        [(objective, name) for objective, cls in OBJECTIVES.items() for name in cls.model_fields]
    ),
    st.integers(0, 20),
    st.characters(categories=["Ll"]),
)
def test_an_error_suggests_the_nearest_name(setting, position, character):
    objective, name = setting
    if len(name) < 4 or name == "objective":
        return
    misspelt = name[: position % len(name)] + character + name[position % len(name) + 1 :]
    others = {other for cls in OBJECTIVES.values() for other in cls.model_fields} - {name}
    own = others.intersection(OBJECTIVES[objective].model_fields)
    likeness = {other: SequenceMatcher(None, other, misspelt).ratio() for other in (*others, name)}
    if misspelt == name or any(likeness[other] >= likeness[name] for other in own):
        return
    if any(likeness[other] > likeness[name] for other in others):
        return
    with pytest.raises(ConfigError, match=f"unknown setting '{misspelt}'; did you mean '{name}'"):
        TrainConfig(objective=objective, **{misspelt: 1})


def test_an_error_suggests_settings_of_other_objectives_and_parts():
    with pytest.raises(
        ConfigError, match="'smaple'; did you mean 'sample', a setting of objective='skipgram' or"
    ):
        TrainConfig(smaple=0)
    with pytest.raises(ConfigError, match="unknown setting 'halflife'; did you mean 'half_life'"):
        Config().with_settings(halflife=7)
    with pytest.raises(ConfigError, match="unknown setting 'indx'; did you mean 'index'"):
        Config().with_settings(indx="exact")


@pytest.mark.parametrize(("objective", "cls"), OBJECTIVES.items())
def test_each_objective_has_its_own_settings(objective, cls):
    assert type(TrainConfig(objective=objective)) is cls
    assert TrainConfig(objective=objective) == cls() == cls(objective=objective)
    assert copy.deepcopy(cls(seed=3)) == pickle.loads(pickle.dumps(cls(seed=3))) == cls(seed=3)
    for other_objective, other_cls in OBJECTIVES.items():
        for name in other_cls.model_fields.keys() - cls.model_fields.keys():
            message = (
                f"{name} is a setting of objective=.*'{other_objective}'.*, not of '{objective}'; leave it"
            )
            for make in (cls, lambda **given: TrainConfig(objective=objective, **given), cls().replace):
                with pytest.raises(ConfigError, match=message):
                    make(**{name: getattr(other_cls(), name)})
        if other_objective != objective:
            with pytest.raises(
                ConfigError, match=f"objective is '{other_objective}'; expected '{objective}'"
            ):
                cls(objective=other_objective)


def test_next_item_is_the_default():
    assert TrainConfig() == Config().train == Config(train={}).train == NextItem()
    assert Config().with_settings(objective="skipgram").train == SkipGram()
    assert Config(train={"objective": "cbow"}).train == CBOW()


def test_an_error_lists_all_names_if_none_is_similar():
    with pytest.raises(
        ConfigError, match="unknown setting 'xyz'; expected one of score, decay, part_weights, half"
    ):
        TasteConfig(xyz=1)


RANGES = [
    ("attributes", [(), ("brand",), ("brand", "year")], [("a", "a"), ("",), (1,), 5, None, ""]),
    ("attributes_only", [0, 0.5], [1, -0.1, np.nan, "0", None]),
    ("vector_size", [2, 4096], [0, -1, 4097, 64.0, "64", None, True]),
    ("window", [1, 5, 1_000_000, "full"], [0, -5, 2**31, 10**30, 5.0, "ful", "5", None, True]),
    ("min_count", [1, 10**6], [0, -1, 1.5, True, None]),
    ("sample", [0, 0.0, 1e-5, 0.999], [1, 1.0, -1e-9, np.nan, np.inf, "0", False, None]),
    ("negative", [1, 1000], [-1, 0, 1001, 5.0, True, None]),
    ("ns_exponent", [-2, -0.5, 0, 0.75, 2], [-2.1, 2.1, np.nan, np.inf, "1", None]),
    ("hs", [True, False, 1, 0], [2, -1, 1.0, "yes", None]),
    ("cbow_mean", [True, False, 1, 0], [2, -1, 1.0, "yes", None]),
    ("shrink_windows", [True, False, 1, 0], [2, -1, 1.0, "yes", None]),
    ("alpha", [1e-3, 1, 100, 1000], [0, -0.1, np.nan, np.inf, 1e30, 1e300, "x", None]),
    ("min_alpha", [0, 0.05], [-0.1, np.nan, np.inf, 0.081, None]),
    ("epochs", [1, 100_000], [0, -1, 100_001, 2.0, "5", True, None]),
    ("workers", [1, 1024], [0, -1, 1025, 1.0, None]),
    ("seed", [0, 2**32 - 1], [-1, 2**32, 1.5, None, "seed"]),
    ("patience", [None, 1, 5], [0, -1, 1.5, True]),
    (
        "context_decay",
        [(0.5,), (1e-9, 1.0), ("learned", 0.5), (0.5,) * 32],
        [0.5, "learned", None, *NOT_DECAYS],
    ),
    ("dropout", [0, 0.0, 0.999], [1, 1.0, -1e-9, np.nan, np.inf, "0", True, None]),
    ("weight_decay", [0, 0.0, 0.999], [1, 1.0, -1e-9, np.nan, np.inf, "0", True, None]),
    ("similarity", ["cosine", "inner"], ["dot", "cos", None, 1]),
    ("temperature", [0.01, 1, 100], [0, -0.1, 101, np.nan, np.inf, "0.1", None]),
    ("tied", [0, 1, 3], [-1, 4, 1.0, "1", True, None]),
    ("forward_only", [False, 0], [2, -1, 1.0, "yes", None]),
    ("backend", ["numba"], ["torch", None]),
    ("matrix", ["items", "sentences"], ["item", None, 1]),
    ("weighting", ["raw", "tfidf", "ppmi"], ["pmi", None, 1]),
    ("power", [0, 0.5, 1], [-0.1, 1.1, np.nan, "1", True, None]),
    ("x_max", [0.5, 100], [0, -1, np.nan, np.inf, "9", True, None]),
    ("max_neighbours", [1, 100_000], [0, -1, 10**6, 1.5, "1", True, None]),
    ("fade", [0.1, 1], [0, -0.1, 1.1, np.nan, "1", True, None]),
    ("smoothing", [0, 5, 1e9], [-1, np.nan, np.inf, 1e10, "1", True, None]),
    ("max_items", [2, 100_000], [1, 0, 10**6, 1.5, "9", True, None]),
    ("l2", [0.001, 250, 1e9], [0, -1, 1e-4, np.nan, np.inf, 1e10, "1", True, None]),
    ("x_exponent", [0, 0.75, 1], [-0.1, 1.1, np.nan, "1", True, None]),
]


def test_every_training_setting_has_a_tested_range():
    names = {name for cls in OBJECTIVES.values() for name in cls.model_fields}
    assert {setting for setting, _, _ in RANGES} == names - {"objective"}


@pytest.mark.parametrize(("setting", "good", "bad"), RANGES)
def test_training_settings_have_ranges(setting, good, bad):
    for objective in [name for name, cls in OBJECTIVES.items() if setting in cls.model_fields]:
        for value in good:
            assert getattr(TrainConfig(objective=objective, **{setting: value}), setting) == value
        for value in bad:
            with pytest.raises(ConfigError, match=setting):
                TrainConfig(objective=objective, **{setting: value})


@pytest.mark.parametrize("wrong", ["skip-gram", "sg", "", None, 1, ["cbow"]])
def test_the_objective_is_one_of_five(wrong):
    with pytest.raises(ConfigError, match=r"objective is .*; expected 'next_item', 'skipgram', .* or 'ease'"):
        TrainConfig(objective=wrong)


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("score", [None, "cosine", "output"], ["dot", True]),
        ("decay", [None, 1e-9, 0.5, 1, 1.0], [0, -0.5, 1.1, np.nan, np.inf, True]),
        ("decay", [(0.5,), (1e-9, 1.0), (1, 1, 1), (0.5,) * 64], NOT_DECAYS),
        ("half_life", [None, 0.01, 7, 1e6], [0, -1, np.nan, np.inf, "7", True]),
        ("last_n", [None, 1, 100], [0, -1, 1.5, True]),
        ("repeat_bonus", [0, 0.0, 3, 1e6], [-1, -1e-9, np.nan, np.inf, 1e7, "3", True, None]),
        ("mixture", [None, 0, 0.5, 1e6], [-1, np.nan, np.inf, 1e7, "1", True]),
        ("popularity", [0, 0.5, 1e6], [-1, np.nan, np.inf, 1e7, "1", True, None]),
        ("popularity_half_life", [None, 0.01, 7, 1e6], [0, -1, np.nan, np.inf, "7", True]),
    ],
)
def test_taste_settings_have_ranges(setting, good, bad):
    for value in good:
        assert getattr(TasteConfig(**{setting: value}), setting) == value
    for value in bad:
        with pytest.raises(ConfigError, match=setting):
            TasteConfig(**{setting: value})


def test_an_error_names_the_value_and_the_expected_range():
    with pytest.raises(
        ConfigError,
        match=r"objective is 'skip-gram'; expected 'next_item', .* or 'ease'; did you mean 'skipgram'",
    ):
        TrainConfig(objective="skip-gram")
    with pytest.raises(ConfigError, match=r"unknown setting .vectorsize.*; epochs is 0; expected at least 1"):
        TrainConfig(epochs=0, vectorsize=64)
    with pytest.raises(ConfigError, match=r"^window is 0; expected at least 1, or 'full'$"):
        TrainConfig(window=0)
    with pytest.raises(ConfigError, match=r"^decay is 2; expected less than or equal to 1, or 'learned'$"):
        TasteConfig(decay=(0.5, 2))
    with pytest.raises(
        ConfigError,
        match=r"^decay is 'x'; expected a valid number, or 'learned', or a list of values",
    ):
        TasteConfig(decay="x")
    for wrong in (0.5, ()):
        with pytest.raises(ConfigError, match=r"expected a list of values, such as \(0\.5, 0\.9\)$"):
            TrainConfig(context_decay=wrong)
    with pytest.raises(ConfigError, match=r"^seen_events is 'play'; expected names such as \['play'\]$"):
        AdapterConfig(seen_events="play")


def test_settings_without_a_loss_are_rejected():
    with pytest.raises(ConfigError, match="negative=0 trains nothing without hs=True"):
        SkipGram(negative=0)
    assert SkipGram(negative=0, hs=True).negative == 0
    with pytest.raises(ConfigError, match=r"min_alpha is 0\.1; expected at most alpha, which is 0\.01"):
        TrainConfig(alpha=0.01, min_alpha=0.1)
    with pytest.raises(ConfigError, match="score='output' needs output vectors"):
        Config(train=SkipGram(negative=0, hs=True), taste=TasteConfig(score="output"))


@pytest.mark.parametrize(
    ("together", "message"),
    [
        (
            {"backend": "gensim"},
            "backend='gensim' does not support objective='next_item'; set backend='numba', or set",
        ),
        (
            {"objective": "skipgram", "backend": "numba", "hs": True},
            "backend='numba' does not support hs=True",
        ),
        (
            {"objective": "cbow", "backend": "numba", "hs": True, "negative": 0},
            "backend='numba' does not support hs=True",
        ),
        ({"negative": 0}, "negative is 0; expected at least 1"),
        ({"min_alpha": 0.09}, r"expected at most alpha, which is 0\.08"),
        ({"objective": "skipgram", "min_alpha": 0.06}, r"expected at most alpha, which is 0\.05"),
        (
            {"objective": "cbow", "forward_only": True},
            "backend='gensim' does not support forward_only=True; set backend='n",
        ),
        (
            {"vector_size": 1},
            "vector_size is 1; expected at least 2 .* always 1 or -1; or set similarity='inner'",
        ),
        ({"tied": 4}, "tied is 4; expected at most 3, the number of parts in context_decay"),
        ({"vector_size": 65, "context_decay": (0.5, 0.9)}, "vector_size is 65; expected a multiple of 2"),
        (
            {"objective": "next_item", "vector_size": 256, "context_decay": (0.1, 0.5, 0.9)},
            r"vector_size is 256; expected a multiple of 3, .* context_decay=\(0\.1, 0\.5, 0\.9\)",
        ),
    ],
)
def test_incompatible_settings_are_rejected(together, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**together)


def test_compatible_settings_are_accepted():
    assert SkipGram(backend="numba", forward_only=True).forward_only
    assert NextItem(vector_size=65, context_decay=(0.5,)).vector_size == 65
    assert SkipGram(vector_size=65).vector_size == 65


def test_another_objective_has_its_own_defaults():
    plain, ours = SkipGram(), NextItem()
    assert plain.replace(objective="next_item") == ours
    assert ours.replace(objective="skipgram") == plain
    assert ours.replace(seed=1) == ours
    assert NextItem(epochs=5, window="full").replace(objective="cbow", sample=0.1) == CBOW(
        epochs=5, window="full", sample=0.1
    )
    with pytest.raises(ConfigError, match="dropout is a setting of objective='next_item', not of 'cbow'"):
        NextItem(epochs=5, dropout=0.1).replace(objective="cbow")
    with pytest.raises(ConfigError, match="does not support objective='next_item'"):
        SkipGram(backend="gensim").replace(objective="next_item")


explicit = st.fixed_dictionaries(
    {},
    optional={
        "vector_size": st.sampled_from([8, 64, 256]),
        "window": st.sampled_from([10, 50, "full"]),
        "negative": st.sampled_from([5, 512]),
        "ns_exponent": st.sampled_from([0.25, 0.5]),
        "alpha": st.sampled_from([0.05, 0.08]),
        "epochs": st.sampled_from([15, 40]),
        "seed": st.integers(0, 9),
    },
)
explicit_of_next_item = st.fixed_dictionaries(
    {},
    optional={
        "dropout": st.sampled_from([0.0, 0.3]),
        "context_decay": st.sampled_from([(0.5,), (0.5, 0.9), (0.1, 0.2, 0.3, 0.4)]),
    },
)


@examples(100)
@given(explicit, explicit, explicit_of_next_item)
def test_explicit_settings_override_the_defaults(first, then, own):
    expected = {**NextItem().model_dump(), **first, **then, **own}
    if "vector_size" not in {**first, **then}:
        expected["vector_size"] = 128 * len(expected["context_decay"])
    elif "context_decay" not in own:
        expected["context_decay"] = NextItem(vector_size=expected["vector_size"]).context_decay
    expected["tied"] = len(expected["context_decay"]) // 2
    for made in (
        TrainConfig(**{**first, **then, **own}),
        SkipGram(**first).replace(objective="next_item", **then, **own),
        SkipGram(**first).replace(objective="next_item").replace(**then, **own),
        NextItem(**first, **own).replace(**then),
        SkipGram(**first).replace(**then).replace(objective="next_item", **own),
    ):
        assert made.model_dump() == expected


def test_without_order_every_step_back_has_weight_1_and_the_window_is_20():
    def without_order(config):
        return config.for_data(100, ordered=False)

    assert without_order(NextItem(vector_size=10)).context_decay == (1.0, 1.0)
    assert without_order(NextItem(epochs=3)) == NextItem(epochs=3, context_decay=(1.0, 1.0, 1.0), window=20)
    config = NextItem(context_decay=(0.5, 0.7, 0.9), window=50)
    assert without_order(config) == config
    assert without_order(SkipGram(epochs=3)) == SkipGram(epochs=3)


@pytest.mark.parametrize(("n_tokens", "epochs"), [(0, 15), (250_000, 15), (810_000, 8), (10**7, 5)])
def test_the_default_number_of_epochs_decreases_for_large_data(n_tokens, epochs):
    assert NextItem(seed=3).for_data(n_tokens, ordered=True).epochs == epochs
    assert NextItem(epochs=30).for_data(n_tokens, ordered=True) == NextItem(epochs=30)
    assert SkipGram().for_data(n_tokens, ordered=True) == SkipGram()


def test_small_ordered_data_do_not_change_the_settings():
    assert NextItem().for_data(1000, ordered=True) == NextItem()


@pytest.mark.parametrize(
    "given",
    [
        {"context_decay": ("learned", 0.98, 0.3)},
        {"context_decay": ("learned", "learned"), "vector_size": 64},
        {"window": 50},
        {"epochs": 15},
        {"objective": "lsa", "matrix": "items"},
    ],
)
def test_data_do_not_change_an_explicit_setting_that_equals_its_default(given):
    made = TrainConfig(**given)
    read = Config(**json.loads(json.dumps({"train": given}))).train
    for config in (made, read, made.replace(seed=2), Config(train=made).with_settings(seed=2).train):
        trained = config.for_data(10**7, ordered=False)
        assert {name: getattr(trained, name) for name in given} == given
        saved = TrainConfig(**json.loads(trained.model_dump_json()))
        assert saved == trained == saved.for_data(10**7, ordered=False)


def test_settings_of_other_objectives_in_old_bundles_are_dropped():
    """Version 0.1.0 wrote the settings of all objectives."""
    flat = {**CBOW().model_dump(), **NextItem().model_dump()}
    for objective, cls in {"next_item": NextItem, "skipgram": SkipGram, "cbow": CBOW}.items():
        assert (
            TrainConfig(**of_its_objective(flat | {"objective": objective, "backend": "numba"})).objective
            == objective
        )
        assert of_its_objective(flat | {"objective": objective}).keys() == cls.model_fields.keys()
    with pytest.raises(ConfigError, match="unknown setting 'epoch'"):
        TrainConfig(**of_its_objective({"objective": "cbow", "epoch": 3}))


def test_the_defaults_of_a_taste_follow_the_training():
    ours = NextItem(context_decay=(0.4, 0.8))

    def read(train, has_output=True, **taste):
        result = Config(train=train or NextItem(), taste=taste).taste.as_trained(train, has_output=has_output)
        return result.score, result.decay

    assert read(ours) == read(ours, last_n=5) == ("output", (0.4, 0.8))
    assert read(ours.replace(context_decay=(0.4,))) == ("output", 0.4)
    assert read(SkipGram()) == read(CBOW()) == read(None) == ("output", 0.7)
    assert read(SkipGram(), has_output=False) == ("cosine", 0.7)
    assert read(ours, score="cosine", decay=0.5) == ("cosine", 0.5)
    whole = Config(train=ours, taste=TasteConfig(last_n=5))
    changed = whole.replace(train=SkipGram()).taste.as_trained(SkipGram(), has_output=True)
    assert changed == TasteConfig(score="output", decay=0.7, last_n=5)
    assert Config(taste=TasteConfig(decay=0.5)).replace(index="exact").taste.decay == 0.5


def test_the_number_of_decays_must_divide_vector_size():
    message = r"vector_size is 256; expected a multiple of 3, .* in decay=\(0\.5, 0\.7, 0\.9\)"
    with pytest.raises(ConfigError, match=message):
        Config(train=TrainConfig(vector_size=256), taste=TasteConfig(decay=(0.5, 0.7, 0.9)))
    fits = Config(train=TrainConfig(vector_size=66), taste=TasteConfig(decay=(0.5, 0.7, 0.9)))
    assert fits.taste.decay == (0.5, 0.7, 0.9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": "learned"}, "decay is learned; expected numbers"),
        ({"decay": "learned", "objective": "skipgram"}, "decay is learned; expected numbers"),
        ({"decay": ("learned", 0.5)}, "expected numbers"),
        ({"part_weights": (1, 2)}, r"part_weights is \(1\.0, 2\.0\); expected one weight per part"),
        (
            {"part_weights": (1, 2), "objective": "lsa"},
            r"part_weights is \(1\.0, 2\.0\); expected one weight per",
        ),
    ],
)
def test_a_taste_that_does_not_fit_the_training_is_an_error_before_training(settings, message):
    with pytest.raises(ConfigError, match=message):
        Config().with_settings(**settings)


def test_learned_decays_fit_training_that_learns_weights_for_as_many_parts():
    learned = Config().with_settings(context_decay=("learned",), vector_size=64, decay="learned")
    assert learned.taste.decay == "learned"
    assert Config().with_settings(decay=("learned", 0.9, 0.3)).taste.decay == ("learned", 0.9, 0.3)


def test_sets_learn_no_position_weights(monkeypatch):
    monkeypatch.setattr("item2vec.training.prepare", None)  # raises a TypeError if training begins
    with pytest.raises(ConfigError, match=r"decay is .*; expected numbers, because this training learns no"):
        fit(Sentences.of([["a", "b"]] * 3, ordered=False), decay=("learned", 0.98, 0.3))


def test_numpy_scalars_are_accepted():
    assert AdapterConfig(events={"play": np.float64(2), "skip": np.int64(-1)}).events == {
        "play": 2,
        "skip": -1,
    }
    config = TrainConfig(
        epochs=np.int32(3),
        alpha=np.float32(0.5),
        hs=np.bool_(True),
        seed=np.uint32(7),
        sample=np.float64(0),
        objective=np.str_("cbow"),
    )
    assert config == TrainConfig(epochs=3, alpha=0.5, hs=True, seed=7, sample=0, objective="cbow")
    assert type(config.epochs) is int
    config = TrainConfig(context_decay=[np.float32(0.5), np.float64(1)], dropout=np.float32(0.5))
    assert config == TrainConfig(context_decay=(0.5, 1.0), dropout=0.5)
    assert {type(decay) for decay in config.context_decay} == {float}
    assert TasteConfig(decay=np.float32(0.5)).decay == 0.5
    assert TasteConfig(decay=(np.float32(0.5), np.float64(1))).decay == (0.5, 1.0)
    for wrong in (np.float64(3), np.bool_(True)):
        with pytest.raises(ConfigError):
            TrainConfig(epochs=wrong)


def test_replace_validates_and_returns_a_copy():
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
            train=SkipGram(window="full", hs=True, patience=2),
            taste=TasteConfig(half_life=7),
            index="annoy",
        ),
        Config(train=CBOW(negative=0, hs=True)),
        Config(train=SkipGram()),
        Config(train=NextItem(context_decay=(0.8,), window="full", patience=1)),
        Config(taste=TasteConfig(decay=(0.1, 0.2, 0.3, 1.0))),
        Config(taste=TasteConfig(decay=0.7, score="cosine")),
    ],
    ids=["default", "gensim", "hs", "skipgram", "one-part", "four-parts", "one-decay"],
)
def test_a_configuration_round_trips_through_json_and_toml(config):
    assert Config(**config.model_dump(mode="json")) == config
    assert Config(**config.model_dump()) == config
    assert Config(**config.model_dump(exclude_unset=True)) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
    written = tomllib.loads(config.to_toml())
    assert written["train"].keys() <= type(config.train).model_fields.keys()
    read = Config(**written)
    assert read == config
    assert read.to_toml() == config.to_toml()


def test_a_misspelt_name_within_a_section_is_rejected():
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        Config(train={"epoch": 5})
    with pytest.raises(ConfigError, match="dropout is a setting of objective='next_item', not of 'cbow'"):
        Config(train={"objective": "cbow", "dropout": 0.5})


def test_settings_cannot_be_changed():
    ours = NextItem()
    for config in (SkipGram(), ours, TasteConfig(), TasteConfig(decay=(0.5, 0.9)), Config(train=ours)):
        for name in type(config).model_fields:
            with pytest.raises(ValueError, match="frozen"):
                setattr(config, name, getattr(config, name))
        assert hash(config) == hash(type(config)(**config.model_dump()))


@pytest.mark.parametrize("memory", [("learned",), ("learned", "learned"), ("learned", 0.98, 0.3), (0.5,)])
@pytest.mark.parametrize("given", [{}, {"vector_size": 12}, {"vector_size": 384}])
def test_replace_keeps_an_explicit_context_decay(memory, given):
    config = NextItem(context_decay=memory, **given)
    changed = config.replace(epochs=3)
    assert changed.context_decay == memory
    assert changed.vector_size == given.get("vector_size", 128 * len(memory))
    assert Config(train=config).with_settings(epochs=3).train == changed


def test_default_part_weights_need_the_default_context_decay():
    def weights(train, **taste):
        return TasteConfig(**taste).as_trained(train, has_output=True).part_weights

    assert weights(NextItem()) == weights(NextItem(vector_size=96)) == (1.0, 1.0, 0.5)
    assert weights(NextItem(), decay=0.5) is None
    assert weights(NextItem(context_decay=(0.5, 0.9))) is None
    assert weights(NextItem().for_data(100, ordered=False)) is None
    assert weights(NextItem(), part_weights=(0, 1, 2)) == (0, 1, 2)
    assert weights(SkipGram()) is None
    for wrong in ((1.0,), (1.0, 1.0, 1.0), (0.0, 0.0)):
        with pytest.raises(ConfigError, match="expected one weight per part of decay="):
            TasteConfig(decay=(0.5, 0.9), part_weights=wrong)
    with pytest.raises(ConfigError, match=r"expected one weight per part of decay=.* \(3\)"):
        weights(NextItem(), part_weights=(1.0, 2.0))


@pytest.mark.parametrize(
    ("vector_size", "memory"),
    [
        (None, ("learned", 0.98, 0.3)),
        (96, ("learned", 0.98, 0.3)),
        (3, ("learned",)),
        (64, ("learned", "learned")),
        (4, ("learned", "learned")),
        (25, ("learned",)),
        (2, ("learned",)),
    ],
)
def test_the_default_context_decay_divides_vector_size(vector_size, memory):
    config = NextItem() if vector_size is None else NextItem(vector_size=vector_size)
    assert config.context_decay == memory
    assert "context_decay" not in config.given()
    assert config.replace(objective="skipgram").vector_size == (vector_size or 64)
    assert NextItem.model_validate_json(config.model_dump_json()) == config
