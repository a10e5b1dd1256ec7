"""Routes for the items of the catalogue: search, lookup, change and removal."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as FromQuery
from starlette.responses import Response

from item2vec.catalogue import Catalogue
from item2vec.errors import UnknownItemError
from item2vec.recommender import Recommender
from item2vec.service.answers import ItemAnswer, SearchAnswer
from item2vec.service.fields import StoredId
from item2vec.service.problems import named
from item2vec.service.routes.common import CHECKED_QUERY, ERRORS, Context, InService, above, json_response
from item2vec.service.schemas import ItemBody, ItemWithId
from item2vec.service.serving import Serving
from item2vec.service.strict_route import StrictRoute
from item2vec.store.changes import change_item
from item2vec.view import View

__all__ = ["router"]

router = APIRouter(route_class=StrictRoute, prefix="/v1", tags=["items"], responses=ERRORS)

Text = Annotated[str, FromQuery(max_length=1_000)]
Id = Annotated[str, FromQuery(min_length=1, max_length=512)]


@router.get("/items", response_model=SearchAnswer, dependencies=CHECKED_QUERY)
def search(
    context: InService,
    q: Text = "",
    item: Id | None = None,
    k: Annotated[int, FromQuery(ge=1, le=1_000)] = 10,
) -> Response:
    """Search items by id and title, tolerant of typing errors.

    With ``item``, only the item with this id is returned. Without ``q``, the most popular active items are
    returned.
    """
    if item is not None:
        return json_response({"items": [_facts(context.serving, item)]})
    if k > context.limits.max_k:
        raise above("k", k, context.limits.max_k)
    view, found = context.serving.search(q, k) if q.strip() else _frequent(context, k)
    known = (view.model.vocabulary, view.catalogue.items.vocabulary)
    listed = [id_ for id_ in found if id_ in known[0] or id_ in known[1]]
    return json_response({"items": [_facts_of(view.catalogue, view.model, id_) for id_ in listed]})


@router.get("/items/{item}", response_model=ItemAnswer, dependencies=CHECKED_QUERY)
def facts(item: str, context: InService) -> Response:
    """Return the title, the attributes, the number of training tokens and the active flag of an item."""
    return json_response(_facts(context.serving, item))


@router.put("/items/{item}", response_model=ItemAnswer)
def change(item: StoredId, body: ItemBody, context: InService) -> Response:
    """Create an item, or change the title, the attributes or the active flag of an item."""
    return _changed(item, body, context)


@router.put("/items", response_model=ItemAnswer)
def change_of_body(body: ItemWithId, context: InService) -> Response:
    """Create or change the item whose id is in the body."""
    return _changed(body.item, body, context)


@router.delete("/items/{item}", response_model=ItemAnswer)
def remove(item: StoredId, context: InService) -> Response:
    """Deactivate an item, so that later recommendations do not contain it."""
    return _changed(item, ItemBody(active=False), context, must_exist=True)


@router.delete("/items", response_model=ItemAnswer)
def remove_by_query(item: Annotated[StoredId, FromQuery()], context: InService) -> Response:
    """Deactivate the item whose id is a query parameter."""
    return _changed(item, ItemBody(active=False), context, must_exist=True)


def _changed(item: str, body: ItemBody, context: Context, *, must_exist: bool = False) -> Response:
    serving = context.serving
    store = serving.store
    if must_exist:
        _facts(serving, item)
    with named("attributes"):  # the schema has checked the other fields
        change_item(store, item, _given(body))
    return json_response(_facts(serving, item))


def _given(body: ItemBody) -> dict[str, Any]:
    """Return the fields to change: those of a request, except ``attributes`` and ``active`` of null.

    An attribute of the name "title" is the title, unless the request contains a title, as in ``Items.of``.
    """
    fields = body.model_dump(include={"title", "attributes", "active"}, exclude_unset=True)
    fields = {name: value for name, value in fields.items() if value is not None or name == "title"}
    if "title" in fields.get("attributes", {}):
        fields = {"title": fields["attributes"].pop("title")} | fields
    return fields


def _facts(serving: Serving, item: str) -> dict[str, Any]:
    catalogue, model = serving.listing()
    if model is None and item not in catalogue.items.vocabulary:
        _ = serving.engine  # status 503, because the model may know the item
    return _facts_of(catalogue, model, item)


def _facts_of(catalogue: Catalogue, model: Recommender | None, item: str) -> dict[str, Any]:
    """Return the facts of an item; raise ``UnknownItemError`` if it is in neither catalogue nor model."""
    code = int(catalogue.items.vocabulary.encode([item])[0])
    row = -1 if model is None else int(model.vocabulary.encode([item])[0])
    if code < 0 and row < 0:
        raise UnknownItemError(f"unknown item {item!r}; expected the id of an item of the model or the store")
    title, attributes = _described(catalogue, model, item)
    return {
        "item": item,
        "title": title,
        "attributes": attributes,
        "count": 0 if model is None or row < 0 else int(model.vectors.counts[row]),
        "active": code < 0 or bool(catalogue.active[code]),
    }


def _described(
    catalogue: Catalogue, model: Recommender | None, item: str
) -> tuple[str | None, dict[str, Any]]:
    """Return the title of an item, ``None`` if it has none, and its attributes."""
    items = catalogue.items if model is None else model.described_items
    if items is None:
        return None, {}
    title = items.title(item)
    return None if title == item else title, items.about(item)


def _frequent(context: Context, k: int) -> tuple[View, list[str]]:
    view = context.serving.engine.view()
    return view, [item.item for item in view.recommend(history=[], k=k)]
