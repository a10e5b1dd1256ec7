"""The route for events that clients report."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from item2vec.service.answers import EventsAnswer
from item2vec.service.events import stored
from item2vec.service.problems import named
from item2vec.service.routes.common import ERRORS, InService, above, json_response
from item2vec.service.schemas import EventList
from item2vec.service.strict_route import StrictRoute

__all__ = ["router"]

router = APIRouter(route_class=StrictRoute, prefix="/v1", tags=["events"], responses=ERRORS)


@router.post("/events", response_model=EventsAnswer)
def store_events(body: EventList, context: InService) -> Response:
    """Store events. An event that repeats another event is counted as known, and not stored again.

    An event with a key is a repeat if an event with this key is already stored, or precedes it in the
    request. An event without a key is a repeat if an event with the same user, item, event name and timestamp
    is already stored, or precedes it in the request. Of the stored events, only those that this route has
    stored are compared. An event without a timestamp gets the time of the request.
    """
    if len(body.events) > context.limits.max_batch:
        raise above("events", len(body.events), context.limits.max_batch, "elements")
    with named("events"):
        new, known = stored(context.serving.store, body.events)
    return json_response({"new": new, "known": known})
