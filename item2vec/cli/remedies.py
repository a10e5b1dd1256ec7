"""Errors on the command line: they name flags of the running command, and secrets are masked."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from item2vec.errors import ConfigError, InputError, Item2VecError, Remedy, masked

__all__ = ["Command", "Group", "is_given", "message_of", "remedies_for"]

_FLAGS = {
    ("timestamp", None): "--no-timestamps",
    ("on_error", "skip"): "--skip-bad-rows",
    ("format", "lines"): "--no-header",
}
_TAB = "\t"
_NAMES = {"source_column": "source", "target_column": "target"}

# A statement about an argument begins with it: "k is 0; …", "the factor of 'x' in boost is -1.0; …".
_ARGUMENT = re.compile(r"(?:^|(?<=; ))((?:the factor of .+? in )?)(\w+)(?= (?:is|of|contains) )")

_running: ContextVar[Any] = ContextVar("running", default=None)
"""The context of the running command."""


class Command(TyperCommand):
    """Command whose errors name its own flags, such as ``--no-header``, instead of arguments."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; render arguments and remedies of an ``Item2VecError`` as flags of this command."""
        token = _running.set(ctx)
        try:
            return super().invoke(ctx)
        except Item2VecError as error:
            error.args, error.remedies = (message_of(error),), ()
            raise
        finally:
            _running.reset(token)


class Group(TyperGroup):
    """Group of commands whose usage errors contain no secrets: an argument may be a store URL."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the options of the group; mask secrets in usage errors."""
        with _masked_usage():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse and run the command; mask secrets in usage errors."""
        with _masked_usage():
            return super().invoke(ctx)


@contextlib.contextmanager
def _masked_usage() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):  # set by click's ClickException
            error.message = masked(message)  # type: ignore[attr-defined]
        raise


def message_of(error: Item2VecError) -> str:
    """Return the message of an error, with its arguments and remedies as flags of the running command."""
    message = error.described(_as_flag)
    return _ARGUMENT.sub(_with_flag, message) if isinstance(error, ConfigError | InputError) else message


def _with_flag(statement: re.Match[str]) -> str:
    """Return a statement about an argument, with the flag if the command line sets the argument."""
    context, flag = _running.get(), f"--{_flag_name(statement[2])}"
    parameter = None if context is None else _parameters(context.command).get(flag)
    if parameter is None or not is_given(context, parameter.name):
        return statement[0]
    return statement[1] + flag


@contextlib.contextmanager
def remedies_for(**argument_of: str) -> Iterator[None]:
    """Rename the arguments in the remedies of the errors that the block raises.

    A new name is needed if the name of a library function's argument differs from the flag of the command:
    for the items file of ``ingest``, the argument ``sep`` is the flag ``--items-sep``. A remedy whose
    argument has no new name here is written as its alternative text, not as a flag.
    """
    try:
        yield
    except Item2VecError as error:
        error.remedies = tuple(
            dataclasses.replace(remedy, argument=argument_of.get(remedy.argument, ""))
            for remedy in error.remedies
        )
        raise


def _as_flag(remedy: Remedy) -> str:
    """Return a remedy as a flag of the running command.

    If this command has no such flag, or the flag is already set as proposed, return the alternative text.
    """
    context = _running.get()
    flag = _flag(remedy)
    parameter = None if context is None else _parameters(context.command).get(flag)
    if parameter is None or _is_set_to(context, parameter, remedy.value):
        return remedy.otherwise
    if parameter.is_flag:
        return remedy.text.format(flag)
    value = parameter.metavar or "VALUE" if remedy.value is ... else shlex.quote(str(remedy.value))
    return remedy.text.format(f"{flag} {'tab' if remedy.value == _TAB else value}")


def _flag(remedy: Remedy) -> str:
    if isinstance(remedy.value, str | None) and (remedy.argument, remedy.value) in _FLAGS:
        return _FLAGS[remedy.argument, remedy.value]
    name = _flag_name(remedy.argument)
    return f"--no-{name}" if remedy.value is None or remedy.value is False else f"--{name}"


def _flag_name(argument: str) -> str:
    return _NAMES.get(argument, argument).replace("_", "-")


def _parameters(command: Any) -> dict[str, Any]:
    """Map each flag of a command to its parameter."""
    return {
        flag: parameter
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether the command line, not an environment variable or a default, sets a parameter."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _is_set_to(context: typer.Context, parameter: Any, value: Any) -> bool:
    """Return whether the command line sets the parameter to ``value``.

    If ``value`` is ``...``, or the parameter is a flag, the result is true if the parameter is set at all.
    """
    is_same = value is ... or parameter.is_flag or context.params[parameter.name] == value
    return is_given(context, parameter.name) and is_same
