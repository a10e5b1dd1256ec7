"""Conversion of errors to problem details: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from item2vec.config.settings import either, nearest
from item2vec.errors import InputError, Item2VecError, SchemaError, StoreError, UnknownItemError, short_repr

__all__ = [
    "MEDIA_TYPE",
    "WRONG_SCHEMA",
    "Problem",
    "fields_of",
    "handle_errors",
    "instead_of",
    "invalid",
    "named",
    "problem_of",
    "problem_response",
]

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1
WRONG_SCHEMA = "the store has no schema, or not the required one; run item2vec db upgrade"
METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")
SOURCES = {"body", "query", "path"}
OBJECTS = {"model_type", "model_attributes_type", "dict_type"}  # pydantic's names of these errors
MEMBERS = {"<id>", "<object>", "<mapping>", "<pairs>"}
"""Tags of the members of unions in ``schemas``, which are no part of the path of a field."""

log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - the name of RFC 9457
    """An error that is sent to the client.

    ``errors`` lists the invalid fields, each with the keys ``field``, ``found`` and ``expected``. With status
    429 or 503, the header ``Retry-After`` is 1 second unless ``headers`` contains it.

    >>> Problem(404, "unknown item 'x'").status
    404
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        if status in {429, 503}:
            self.headers.setdefault("Retry-After", str(RETRY_SECONDS))

    def body(self) -> dict[str, Any]:
        """Return the problem details as JSON values.

        >>> Problem(404, "unknown item 'x'").body()["title"]
        'Not Found'
        """
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return body | ({"errors": self.errors} if self.errors else {})


def problem_of(error: Item2VecError) -> Problem:
    """Convert an error of this package to a problem that contains no path, SQL or stack trace.

    The status is 404 for an unknown item, 422 for other invalid input, 503 if the store fails, and otherwise
    500. Errors with status 500 and 503 are logged.

    >>> problem_of(InputError("k is 0; expected an integer of at least 1")).status
    422
    """
    if isinstance(error, UnknownItemError):
        return Problem(404, str(error))
    if isinstance(error, InputError):
        return invalid(error)
    log.error("a request failed: %s", error)
    if isinstance(error, SchemaError):
        return Problem(503, WRONG_SCHEMA)
    if isinstance(error, StoreError):
        return Problem(503, "the store is unavailable; try again later")
    return Problem(500, "the service failed; its log contains the error")


def invalid(error: Exception, field: str = "body") -> Problem:
    """Return the problem of an invalid field: an argument of the route, or a path in the body.

    >>> invalid(InputError("k is 0; expected an integer of at least 1"), "k").errors
    [{'field': 'k', 'found': '0', 'expected': 'an integer of at least 1'}]
    """
    return Problem(422, str(error), errors=[_named_parts(field, str(error))])


@contextmanager
def named(field: str) -> Iterator[None]:
    """Convert an ``InputError`` of the block to a ``Problem`` that names the field with the invalid input."""
    try:
        yield
    except InputError as error:
        raise invalid(error, field) from None


def instead_of(name: str, known: Iterable[str]) -> str:
    """Return what was expected instead of an unknown name: the nearest known name, or all known names.

    >>> instead_of("whre", ["k", "where"]), instead_of("limit", ["k", "where"]), instead_of("k", [])
    ("a known name; did you mean 'where'?", "'k' or 'where'", 'no parameters')
    """
    near = nearest(name, known := list(known))
    if near is not None:
        return f"a known name; did you mean {near!r}?"
    return either(known) if known else "no parameters"


def _named_parts(field: str, message: str) -> dict[str, str]:
    """Split a message of this package at its first semicolon: what was found, and what was expected."""
    found, _, expected = message.partition("; ")
    found = found.removeprefix(f"{field.rpartition('.')[2]} is ")
    expected = expected.removeprefix("expected ") or "valid input"
    return {"field": field, "found": found, "expected": expected}


def problem_response(problem: Problem) -> Response:
    """Return the HTTP response for a problem."""
    content = json.dumps(problem.body(), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(content, problem.status, problem.headers, MEDIA_TYPE)


def handle_errors(app: FastAPI) -> None:
    """Convert all exceptions of an application's routes to problem responses."""

    async def of_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error)

    async def of_package(_: Request, error: Exception) -> Response:
        assert isinstance(error, Item2VecError)
        return problem_response(problem_of(error))

    async def of_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(Problem(422, "the request is invalid", errors=fields_of(error.errors())))

    async def of_routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
        return problem_response(Problem(error.status_code, str(error.detail), headers=headers))

    async def of_bug(_: Request, _error: Exception) -> Response:
        return problem_response(Problem(500, "the service failed; its log contains the error"))

    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(Item2VecError, of_package)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(HTTPException, of_routing)
    app.add_exception_handler(Exception, of_bug)


def _allowed(request: Request) -> str:
    """Return the methods that the path of a request has, for the header ``Allow``."""
    return ", ".join(
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.routes
        )
    )


def fields_of(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Convert the first 100 errors of a pydantic validation to ``field``, ``found`` and ``expected``.

    A field is a path such as ``history[2].weight``.
    """
    return [_fault(error) for error in errors[:100]]


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    field, cause = _path(error["loc"]), error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return _named_parts(field, str(cause))
    expected = "a JSON object" if error["type"] in OBJECTS else str(error["msg"])
    return {"field": field, "found": short_repr(error.get("input")), "expected": expected}


def _path(location: Sequence[Any]) -> str:
    steps = [step for step in location[:1] if step not in SOURCES] + [
        step for step in location[1:] if step not in MEMBERS
    ]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.lstrip(".") or "body"
