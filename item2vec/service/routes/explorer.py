"""Routes for the files of the explorer, and for data that only the explorer needs."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as FromQuery
from starlette.responses import Response

from item2vec.service.explorer_data import facts, map_data
from item2vec.service.fields import StoredId
from item2vec.service.problems import Problem
from item2vec.service.routes.common import InService, check_limits, json_response, naming_rules
from item2vec.service.schemas import CompareBody
from item2vec.service.strict_route import StrictRoute

__all__ = ["router"]

router = APIRouter(route_class=StrictRoute, include_in_schema=False)

TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
# The page loads nothing from other hosts, runs no inline script, and cannot be framed.
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@cache
def _pages() -> dict[str, bytes]:
    """Return the files of the explorer by name. Only these names can be requested."""
    folder = files("item2vec.service") / "explorer"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


def _page(name: str) -> Response:
    content = _pages().get(name)
    if content is None:
        raise Problem(404, f"unknown file {name[:80]!r}")
    media = TYPES[name.rpartition(".")[2]]
    return Response(content, media_type=f"{media}; charset=utf-8", headers=SECURITY)


@router.get("/")
def index() -> Response:
    """Return the page of the explorer."""
    return _page("index.html")


@router.get("/docs")
def docs() -> Response:
    """Return the page that describes the routes."""
    return _page("docs.html")


@router.get("/explorer/facts")
def model_facts(context: InService) -> Response:
    """Return a summary of the served model, such as the version, the number of items, and the attributes."""
    return json_response(facts(context.serving.engine.view(), has_store=context.serving.has_store))


@router.get("/explorer/history")
def history(context: InService, user: Annotated[StoredId, FromQuery()]) -> Response:
    """Return the items of a user's history, oldest first."""
    view = context.serving.engine.view()
    items = view.items
    return json_response(
        {
            "items": [
                {"item": item, "title": item if items is None else items.title(item)}
                for item in view.history(user)
            ]
        }
    )


@router.get("/explorer/map")
def positions(context: InService, colour: Annotated[str, FromQuery(max_length=512)] = "") -> Response:
    """Return the positions, titles and colour groups of the items; status 202 while positions are computed.

    ``colour`` is the attribute that determines the groups.
    """
    view = context.serving.engine.view()
    placed = context.serving.maps.of(view.model)
    if placed is None:
        return json_response({"status": "computing"}, 202)
    return json_response(map_data(view, placed, colour or None))


@router.post("/explorer/compare")
def compare(request: CompareBody, context: InService) -> Response:
    """Return recommendations, computed with a certain version of the models folder."""
    check_limits(request, context.limits)
    view = context.serving.view_of(request.version)
    with naming_rules(view, request.arguments()):
        answered = context.serving.recommend(request.arguments(), view)
    return json_response(context.answer(answered))


@router.get("/explorer/{name}")
def page(name: str) -> Response:
    """Return a file of the explorer."""
    return _page(name)
