"""Routes for recommendations, similar items and analogies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as FromQuery
from starlette.responses import Response

from item2vec.errors import InputError, Item2VecError, UnknownItemError, short_repr
from item2vec.service.answers import Answer, BatchAnswer
from item2vec.service.problems import Problem, problem_of
from item2vec.service.routes.common import (
    ERRORS,
    Context,
    InService,
    above,
    check_limits,
    json_response,
    naming_rules,
    refused,
    validated,
)
from item2vec.service.schemas import (
    Analogy,
    Batch,
    Query,
    Recommend,
    Rules,
    SimilarBody,
    SimilarQuery,
)
from item2vec.service.serving import Answered
from item2vec.service.strict_route import StrictRoute
from item2vec.view import View

__all__ = ["router"]

router = APIRouter(route_class=StrictRoute, prefix="/v1", tags=["recommendations"], responses=ERRORS)


@router.get("/users/{user}/recommendations", response_model=Answer)
def of_user(user: str, query: Annotated[Query, FromQuery()], context: InService) -> Response:
    """Recommend items to a user of the store. A user without a history gets the most popular items."""
    return _recommended(validated(Recommend, {**query.rules(), "user": user}), context)


@router.post("/recommendations", response_model=Answer)
def of_request(request: Recommend, context: InService) -> Response:
    """Recommend items to a user of the store, or for a history."""
    return _recommended(request, context)


@router.post("/recommendations/batch", response_model=BatchAnswer)
def of_batch(batch: Batch, context: InService) -> Response:
    """Answer several requests with one version. For an invalid request, the answer is the error."""
    if len(batch.requests) > context.limits.max_batch:
        raise above("requests", len(batch.requests), context.limits.max_batch, "elements")
    view = context.serving.engine.view()
    answers: dict[int, dict[str, Any]] = {}
    groups: dict[str, dict[int, dict[str, Any]]] = {}
    for number, fields in enumerate(batch.requests):
        try:
            request = validated(Recommend, fields)
            check_limits(request, context.limits)
        except Problem as problem:
            answers[number] = problem.body()
        else:
            arguments = request.arguments()
            groups.setdefault(_group(number, arguments), {})[number] = arguments
    for group in groups.values():
        answers |= zip(group, _answers(list(group.values()), context, view), strict=True)
    return json_response({"answers": [answers[number] for number in range(len(batch.requests))]})


@router.get("/items/{item}/similar", response_model=Answer)
def similar(item: str, query: Annotated[SimilarQuery, FromQuery()], context: InService) -> Response:
    """List the items that are most similar to an item."""
    return _near(validated(SimilarBody, {**query.rules(), "item": item}), context)


@router.post("/similar", response_model=Answer)
def similar_of_body(request: SimilarBody, context: InService) -> Response:
    """List the items that are most similar to the item whose id is in the body."""
    return _near(request, context)


@router.post("/analogies", response_model=Answer)
def analogy(request: Analogy, context: InService) -> Response:
    """List the items that are near the positive items, and far from the negative items."""
    check_limits(request, context.limits)
    view = context.serving.engine.view()
    ids = {
        f"{name}[{place}]": id_
        for name in ("positive", "negative")
        for place, id_ in enumerate(getattr(request, name))
    }
    with _naming(view, request, ids):
        items = view.analogy(positive=request.positive, negative=request.negative, **request.arguments())
    return json_response(context.answer(Answered(view, items)))


def _recommended(request: Recommend, context: Context) -> Response:
    check_limits(request, context.limits)
    view = context.serving.engine.view()
    with naming_rules(view, request.arguments()):
        answered = context.serving.recommend(request.arguments(), view)
    return json_response(context.answer(answered))


def _near(request: SimilarBody, context: Context) -> Response:
    check_limits(request, context.limits)
    view = context.serving.engine.view()
    with _naming(view, request, {"item": request.item}):
        items = view.similar_items(request.item, **request.arguments())
    return json_response(context.answer(Answered(view, items)))


@contextmanager
def _naming(view: View, request: Rules, ids: Mapping[str, str]) -> Iterator[None]:
    """Name the invalid rule of a query, or the fields whose items are unknown; ``ids`` maps fields to items.

    Of an item of the catalogue, say that it has no vectors yet.
    """
    try:
        with naming_rules(view, request.arguments()):
            yield
    except UnknownItemError as error:
        listed, known = view.catalogue.items.vocabulary, view.model.vocabulary
        unknown = {field: id_ for field, id_ in ids.items() if id_ not in known}
        new = next((id_ for id_ in unknown.values() if id_ in listed), None)
        detail = str(error)
        if new is not None and view.model.adapter.group_by is None:
            detail = (
                f"item {short_repr(new)} has no vectors yet; a thread computes them from the attributes of "
                "the item, if the model knows a value of these: try again later, or add attributes"
            )
        errors = [
            {"field": field, "found": short_repr(id_), "expected": "the id of an item with vectors"}
            for field, id_ in unknown.items()
        ]
        raise Problem(404, detail, errors=errors[:100]) from None


def _group(number: int, arguments: dict[str, Any]) -> str:
    """Return a key for a request of a batch; requests with the same key are answered in one call.

    The key contains the rules, and whether the request has a user. A request with ``explain`` or ``exclude``,
    or with a history that does not consist of ids only, must be answered separately. The key of such a
    request is ``number``.
    """
    rules = {name: value for name, value in arguments.items() if name not in {"user", "history"}}
    history = arguments.get("history", ())
    if arguments["explain"] or "exclude" in rules or not all(isinstance(token, str) for token in history):
        return str(number)
    return f"{'user' in arguments} {json.dumps(rules, sort_keys=True)}"


def _answers(group: list[dict[str, Any]], context: Context, view: View) -> list[dict[str, Any]]:
    """Answer requests with equal rules in one call; if the call fails, answer the requests one by one."""
    try:
        return [context.answer(answered) for answered in context.serving.recommend_many(group, view)]
    except Item2VecError as error:
        if len(group) == 1:
            is_input = isinstance(error, InputError)
            return [(refused(error, view, group[0]) if is_input else problem_of(error)).body()]
        return [_answers([request], context, view)[0] for request in group]
