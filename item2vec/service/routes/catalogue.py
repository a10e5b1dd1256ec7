"""Routes for the items of the catalogue: search, lookup, change and removal."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as FromQuery
from starlette.responses import Response

from item2vec.errors import UnknownItemError
from item2vec.items import Items
from item2vec.service.problems import Problem
from item2vec.service.routes.common import CHECKED_QUERY, ERRORS, Context, InService, json_response
from item2vec.service.schemas import ItemAnswer, ItemBody, ItemWithId, SearchAnswer
from item2vec.service.strict_route import StrictRoute
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
        return json_response({"items": [_facts(context.serving.engine.view(), item)]})
    if k > context.limits.max_k:
        raise Problem(422, f"k is {k}; expected at most {context.limits.max_k}")
    view, found = context.serving.search(q, k) if q.strip() else _frequent(context, k)
    known = (view.model.vocabulary, view.catalogue.items.vocabulary)
    listed = [id_ for id_ in found if id_ in known[0] or id_ in known[1]]
    return json_response({"items": [_facts(view, id_) for id_ in listed]})


@router.get("/items/{item}", response_model=ItemAnswer, dependencies=CHECKED_QUERY)
def facts(item: str, context: InService) -> Response:
    """Return the title, the attributes, the number of training tokens and the active flag of an item."""
    return json_response(_facts(context.serving.engine.view(), item))


@router.put("/items/{item}", response_model=ItemAnswer)
def change(item: str, body: ItemBody, context: InService) -> Response:
    """Create an item, or change the title, the attributes or the active flag of an item."""
    return _changed(item, body, context)


@router.put("/items", response_model=ItemAnswer)
def change_of_body(body: ItemWithId, context: InService) -> Response:
    """Create or change the item whose id is in the body."""
    return _changed(body.item, body, context)


@router.delete("/items/{item}", response_model=ItemAnswer)
def remove(item: str, context: InService) -> Response:
    """Deactivate an item, so that later recommendations do not contain it."""
    return _changed(item, ItemBody(active=False), context, must_exist=True)


@router.delete("/items", response_model=ItemAnswer)
def remove_by_query(item: Id, context: InService) -> Response:
    """Deactivate the item whose id is a query parameter."""
    return _changed(item, ItemBody(active=False), context, must_exist=True)


def _changed(item: str, body: ItemBody, context: Context, *, must_exist: bool = False) -> Response:
    engine = context.serving.engine
    view = engine.view()
    if must_exist:
        _facts(view, item)
    is_listed = item in view.catalogue.items.vocabulary
    if not is_listed or body.title is not None or body.attributes is not None:
        title, attributes = _described(view, item)
        if body.title is not None:
            title = body.title
        if body.attributes is not None:
            attributes = body.attributes
        row = attributes if title is None else {**attributes, "title": title}
        engine.store.ingest_items(Items.of({item: row}), replace=True)
    if body.active is not None:
        (engine.store.activate_items if body.active else engine.store.deactivate_items)([item])
    return json_response(_facts(engine.view(), item))


def _facts(view: View, item: str) -> dict[str, Any]:
    listed, model = view.catalogue.items, view.model
    code, row = int(listed.vocabulary.encode([item])[0]), int(model.vocabulary.encode([item])[0])
    if code < 0 and row < 0:
        raise UnknownItemError(f"unknown item {item!r}; expected the id of an item of the model or the store")
    title, attributes = _described(view, item)
    return {
        "item": item,
        "title": title,
        "attributes": attributes,
        "count": 0 if row < 0 else int(model.vectors.counts[row]),
        "active": code < 0 or bool(view.catalogue.active[code]),
    }


def _described(view: View, item: str) -> tuple[str | None, dict[str, Any]]:
    """Return the title of an item, ``None`` if it has none, and its attributes."""
    items = view.items
    if items is None:
        return None, {}
    title = items.title(item)
    return None if title == item else title, items.about(item)


def _frequent(context: Context, k: int) -> tuple[View, list[str]]:
    view = context.serving.engine.view()
    return view, [item.item for item in view.recommend(history=[], k=k)]
