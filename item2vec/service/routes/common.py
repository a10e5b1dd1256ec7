"""Code that the routes share: the context and the limits of a request, errors, and JSON answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.responses import Response

from item2vec.errors import InputError, short_repr
from item2vec.items import Items
from item2vec.service.answers import ProblemDetails
from item2vec.service.limits import Limits
from item2vec.service.metrics import Metrics
from item2vec.service.problems import MEDIA_TYPE, Problem, fields_of, instead_of, invalid
from item2vec.service.schemas import Recommend, Rules
from item2vec.service.serving import Answered, Serving
from item2vec.types import Share
from item2vec.view import View

__all__ = [
    "CHECKED_QUERY",
    "ERRORS",
    "Context",
    "InService",
    "above",
    "check_limits",
    "json_response",
    "naming_rules",
    "refused",
    "validated",
]

# With "model", FastAPI would describe errors as application/json. ``BatchAnswer`` adds the component.
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {
        "content": {"text/plain": {}},
        "description": "Not a valid HTTP request, or headers that are too long",
    },
    401: {**_PROBLEM, "description": "No API key, or an unknown one"},
    403: {**_PROBLEM, "description": "The API key may not write"},
    404: {**_PROBLEM, "description": "Unknown path, item, version or run"},
    408: {**_PROBLEM, "description": "The body did not arrive in time"},
    413: {**_PROBLEM, "description": "The body is too large"},
    415: {**_PROBLEM, "description": "The Content-Type is not JSON in UTF-8, or a Content-Encoding is set"},
    422: {**_PROBLEM, "description": "Invalid input"},
    429: {**_PROBLEM, "description": "Too many requests"},
    500: {**_PROBLEM, "description": "An error of the service"},
    503: {
        **_PROBLEM,
        "description": "No model is loaded, too many requests, no response in time, or an unavailable store",
    },
}


class Context:
    """The engine, limits and metrics of the application that answers a request."""

    def __init__(self, request: Request) -> None:
        self.serving: Serving = request.app.state.serving
        self.limits: Limits = request.app.state.limits
        self.metrics: Metrics = request.app.state.metrics

    def answer(self, answered: Answered) -> dict[str, Any]:
        """Return recommendations as the JSON values of an ``Answer``; count the unavailable parts."""
        for part in answered.degraded:
            self.metrics.degrade(part)
        items: Items | None = answered.view.items
        answer: dict[str, Any] = {
            "version": answered.view.version,
            "items": [_item(item, items, answered.why) for item in answered.items],
        }
        return answer | ({"degraded": list(answered.degraded)} if answered.degraded else {})


async def _context(request: Request) -> Context:
    """Return the context of a request.

    The function is asynchronous, because FastAPI would call a synchronous function or a class in a thread.
    """
    return Context(request)


InService = Annotated[Context, Depends(_context)]


async def _check_query(request: Request) -> None:
    """Raise ``Problem`` if a request has a query parameter that its route does not have."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    errors = [
        {"field": name, "found": short_repr(value), "expected": instead_of(name, known)}
        for name, value in request.query_params.items()
        if name not in known
    ]
    if errors:
        raise Problem(422, "the request has unknown query parameters", errors=errors[:100])


CHECKED_QUERY = [Depends(_check_query)]
"""Dependencies of a route whose query parameters are not the fields of a schema."""


def json_response(value: Any, status: int = 200) -> Response:
    """Return a JSON response; raise ``ValueError`` if the value contains NaN or an infinite number."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(content.encode(), status, media_type="application/json")


def validated(model: type[Rules], fields: dict[str, Any]) -> Any:
    """Return a ``model`` instance of the fields of a request; raise ``Problem`` if a field is invalid."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise Problem(422, "the request is invalid", errors=fields_of(error.errors())) from None


def check_limits(request: Rules, limits: Limits) -> None:
    """Raise ``Problem`` if ``k`` or the length of a list exceeds one of the configured ``limits``."""
    if request.k > limits.max_k:
        raise above("k", request.k, limits.max_k)
    lists = {name: getattr(request, name) for name in ("exclude", "allow", "deny", "disliked")}
    if isinstance(request, Recommend):
        lists["history"] = request.history
    for name, values in lists.items():
        if values is not None and len(values) > limits.max_history:
            raise above(name, len(values), limits.max_history, "elements")


@contextmanager
def naming_rules(view: View, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Convert an ``InputError`` of a query with these arguments to a ``Problem``; see ``refused``."""
    try:
        yield
    except InputError as error:
        raise refused(error, view, arguments) from None


def refused(error: Exception, view: View, arguments: Mapping[str, Any]) -> Problem:
    """Return the problem of a query that was refused, which names the rule with the invalid value.

    The schemas have checked the form of the rules. The model and the catalogue may still refuse a rule, for
    example because no item has an attribute. It is the rule that is refused with the same message alone.
    """
    rules = {name: value for name, value in arguments.items() if name in Rules.model_fields}
    names = (name for name, value in rules.items() if _refusal(view, {name: value}) == str(error))
    return invalid(error, next(names, "body"))


def _refusal(view: View, rule: dict[str, Any]) -> str | None:
    try:
        view.model.recommend([], **rule)
    except InputError as error:
        return str(error)
    return None


def _item(item: Any, items: Items | None, why: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"item": item.item, "score": item.score, "source": item.source}
    title = None if items is None else items.title(item.item)
    if title is not None and title != item.item:
        row["title"] = title
    if item.item in why:
        row["why"] = list(map(_share, why[item.item]))
    return row


def _share(share: Share) -> dict[str, Any]:
    row = {"item": share.item, "share": share.share}
    return row if share.interest is None else {**row, "interest": share.interest}


def above(field: str, found: int, limit: int, unit: str = "") -> Problem:
    """Return the problem of a field whose number or length exceeds a limit."""
    found_text = f"{found:,} {unit}".strip()
    error = {"field": field, "found": found_text, "expected": f"at most {limit:,} {unit}".strip()}
    return Problem(422, f"{field} is above the limit of {limit:,}", errors=[error])
