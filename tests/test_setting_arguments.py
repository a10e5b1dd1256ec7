"""The settings as keyword arguments of ``train`` and ``fit`` equal the classes of settings."""

import subprocess
import sys
from collections.abc import Sequence
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Literal, Union, Unpack, get_args, get_origin, get_type_hints

import pytest

from item2vec import Config, TasteConfig, fit, train
from item2vec.config import OBJECTIVES, ModelSettings, TrainSettings


def plain(hint):
    """Return a type without constraints, in which a list stands for a tuple of any length."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return plain(args[0])
    if origin in (Union, UnionType):
        return reduce(or_, map(plain, args))
    if origin is tuple:
        return Sequence[plain(args[0])]
    return hint


def types_of(*classes):
    """Return the type of each setting: the union over the classes that have it."""
    types = {}
    for settings in classes:
        hints = get_type_hints(settings, include_extras=True)
        for name in settings.model_fields:
            types[name] = types[name] | plain(hints[name]) if name in types else plain(hints[name])
    return types


def values_of(hint):
    """Return the parts of a union, with the values of all literals."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    return {value for part in parts for value in (get_args(part) if get_origin(part) is Literal else [part])}


OURS = types_of(*OBJECTIVES.values())
TASTE = {**types_of(TasteConfig), "index": types_of(Config)["index"]}


@pytest.mark.parametrize(("arguments", "types"), [(TrainSettings, OURS), (ModelSettings, {**OURS, **TASTE})])
def test_the_arguments_equal_the_settings(arguments, types):
    hints = get_type_hints(arguments)
    assert set(hints) == set(types)
    for name, hint in hints.items():
        assert values_of(plain(hint)) == values_of(types[name]), name


@pytest.mark.parametrize(("function", "arguments"), [(train, TrainSettings), (fit, ModelSettings)])
def test_train_and_fit_take_these_arguments(function, arguments):
    assert get_type_hints(function)["settings"] == Unpack[arguments]


@pytest.mark.slow
def test_mypy_reports_a_wrong_name_and_a_wrong_type(tmp_path):
    source = tmp_path / "calls.py"
    calls = ("vector_size=9", "vector_sise=9", "epochs='5'", "window='full'", "attributes=['a']", "decay=0.5")
    lines = ["from item2vec import Sentences, fit", "s = Sentences.of([['a', 'b']])"]
    source.write_text("\n".join([*lines, *(f"fit(s, {call})" for call in calls)]))
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", str(source)]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert 'calls.py:4: error: Unexpected keyword argument "vector_sise"' in report
    assert 'calls.py:5: error: Argument "epochs"' in report
    assert "Found 2 errors" in report
