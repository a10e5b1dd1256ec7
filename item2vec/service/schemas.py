"""Schemas of the requests and answers of the HTTP service.

A JSON body must not have unknown fields, and a GET request under /v1 must not have unknown query parameters.
Other routes ignore unknown query parameters. In JSON, types are not converted, except that integers (``k``,
``interests``, the values of ``at_most``, and timestamps) may be written as numbers such as 10.0. Query
parameters are text, and are converted.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from item2vec.durations import PLAUSIBLE
from item2vec.errors import InputError
from item2vec.service.strict_json import parse

__all__ = [
    "JSON_PARAMETERS",
    "Analogy",
    "Answer",
    "Batch",
    "BatchAnswer",
    "CompareBody",
    "EventList",
    "EventsAnswer",
    "HistoryItem",
    "ItemAnswer",
    "ItemBody",
    "ItemWithId",
    "Query",
    "Recommend",
    "Rules",
    "SearchAnswer",
    "SimilarBody",
    "SimilarQuery",
]


def _whole(value: Any) -> Any:
    """Convert a float without a fraction, such as 10.0, to an integer, because JSON has one number type.

    The result has the digits of the number, such as 1704067200140891000 for 1.704067200140891e18, not the
    digits of the nearest float64, which is 120 smaller.
    """
    is_whole = isinstance(value, float) and value.is_integer()
    return int(Decimal(repr(value))) if is_whole else value


Whole = BeforeValidator(_whole)
Id = Annotated[str, Field(min_length=1, max_length=512)]
Ids = Annotated[list[Id], Field(max_length=10_000)]
QueryIds = Annotated[list[Id], Field(max_length=1_000)]  # fewer, because the size of the head is limited
Finite = Annotated[float, Field(allow_inf_nan=False)]
Factor = Annotated[Finite, Field(gt=0, le=1e6)]
Conditions = Annotated[dict[str, Any], Field(max_length=100)]
Pair = Annotated[list[Conditions], Field(min_length=2, max_length=2)]
UNITS = (10**0, 10**3, 10**6, 10**9)  # s, ms, µs and ns since 1970, in the years 1990 to 2099
Timestamp = Annotated[
    Annotated[str, Field(max_length=40)] | Annotated[int, Field(ge=0, le=10**19)],
    Whole,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                *(
                    {"type": "integer", "minimum": PLAUSIBLE[0] * unit, "maximum": PLAUSIBLE[1] * unit - 1}
                    for unit in UNITS
                ),
            ]
        }
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Rules(_Strict):
    """The fields that all requests for ranked items have in common: ``k`` and the rules."""

    k: Annotated[int, Field(ge=1, le=1_000), Whole] = 10
    where: Conditions | None = None
    exclude: Ids = []
    allow: Ids | None = None
    deny: Ids = []
    disliked: Ids = []
    at_most: Annotated[dict[str, Annotated[int, Field(ge=1), Whole]], Field(max_length=10)] = {}
    diversity: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    boost: Annotated[dict[Id, Factor], Field(max_length=10_000)] = {}
    popularity: Annotated[Finite, Field(ge=0, le=1e6)] | None = None
    interests: Annotated[int, Field(ge=1, le=20), Whole] | Literal["auto"] | None = None
    direction: Pair | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of ``Engine.recommend`` that differ from their defaults, and ``k``.

        >>> Rules(k=5, deny=["a"]).arguments()
        {'k': 5, 'deny': ['a']}
        """
        given = self.model_dump(include=set(Rules.model_fields), exclude_defaults=True)
        return given | {"k": self.k}


class HistoryItem(_Strict):
    """An item of a history. ``timestamp`` is text in ISO 8601, or a number of s, ms, µs or ns since 1970."""

    item: Id
    timestamp: Timestamp | None = None
    weight: Annotated[Finite, Field(ge=-1e6, le=1e6)] | None = None


class Recommend(Rules):
    """A request for recommendations: for a user of the store, or for a history, oldest item first."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["user"]}, {"required": ["history"]}]}
    )

    # None is the default, but not valid in a request: a request has exactly one of the two fields.
    user: Annotated[Id, Field(default=None)]
    history: Annotated[list[Id | HistoryItem], Field(default=None, max_length=10_000)]
    filter_seen: bool = True
    explain: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.user is None) == (self.history is None):
            raise ValueError(
                f"got {'neither' if self.user is None else 'both'} of user and history; expected one of them"
            )
        return self

    def arguments(self) -> dict[str, Any]:
        """Return the argument of ``Serving.recommend``.

        It contains ``k``, ``explain``, ``user`` or ``history``, ``filter_seen`` if it is false, and the rules
        that differ from their defaults.

        >>> Recommend(user="u42", filter_seen=False).arguments()
        {'k': 10, 'user': 'u42', 'explain': False, 'filter_seen': False}
        """
        given = self.model_dump(include={"user", "history", "explain"}, exclude_none=True)
        return super().arguments() | given | ({} if self.filter_seen else {"filter_seen": False})


class CompareBody(Recommend):
    """A request for the recommendations of a certain version."""

    version: Id


class Batch(_Strict):
    """Several requests for recommendations. The elements of ``requests`` are validated separately."""

    requests: Annotated[list[dict[str, Any]], Field(max_length=1_000)]


class SimilarBody(Rules):
    """A request for similar items. The rule ``interests`` has no effect."""

    item: Id


class Analogy(Rules):
    """A request for items that are near the positive items, and far from the negative items.

    The rule ``interests`` has no effect.
    """

    positive: Annotated[list[Id], Field(min_length=1, max_length=1_000)]
    negative: Annotated[list[Id], Field(max_length=1_000)] = []
    method: Literal["3cosadd", "3cosmul"] = "3cosadd"


class Event(_Strict):
    """An event of a user and an item. Events with the same ``key`` are stored once.

    ``timestamp`` is text in ISO 8601, or a number of s, ms, µs or ns since 1970. If it is missing, the time
    of the request is stored. ``event`` is the name of the event.
    """

    user: Id
    item: Id
    timestamp: Timestamp | None = None
    event: Id | None = None
    weight: Annotated[Finite, Field(ge=0, le=1e6)] | None = None
    session: Id | None = None
    key: Id | None = None


class EventList(_Strict):
    """Events to store."""

    events: Annotated[list[Event], Field(min_length=1, max_length=1_000)]


class ItemBody(_Strict):
    """Changes of an item. Omitted fields keep their values; ``attributes`` replaces all attributes."""

    title: Annotated[str, Field(max_length=10_000)] | None = None
    attributes: Annotated[dict[str, Any], Field(max_length=1_000)] | None = None
    active: bool | None = None


class ItemWithId(ItemBody):
    """Changes of an item whose id is in the body."""

    item: Id


def _from_json(value: Any) -> Any:
    """Parse the JSON text of a query parameter; raise ``ValueError`` if the text is not valid JSON.

    For a field that is a list, FastAPI passes a list of the texts of the parameter, which has several
    elements if the request repeats the parameter. A list of several texts, and a value that is not text, are
    returned unchanged; pydantic then checks the type.
    """
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(text, str):
        return value
    try:
        return parse(text.encode("utf-8", "surrogatepass"))
    except InputError as error:
        raise ValueError(str(error)) from None


def _interests(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


JsonText = BeforeValidator(_from_json)


class SimilarQuery(BaseModel):
    """The fields of ``Rules`` as query parameters.

    ``where``, ``at_most`` and ``boost`` are JSON objects, and ``direction`` is a JSON array of two objects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: Annotated[int, Field(ge=1, le=1_000)] = 10
    where: Annotated[Conditions, JsonText] = {}
    exclude: QueryIds = []
    allow: QueryIds | None = None
    deny: QueryIds = []
    disliked: QueryIds = []
    at_most: Annotated[dict[str, Annotated[int, Field(ge=1), Whole]], JsonText] = {}
    diversity: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    boost: Annotated[dict[Id, Factor], JsonText] = {}
    popularity: Annotated[Finite, Field(ge=0, le=1e6)] | None = None
    interests: Annotated[
        Annotated[int, Field(ge=1, le=20)] | Literal["auto"] | None, BeforeValidator(_interests)
    ] = None
    direction: Annotated[Pair | None, JsonText] = None

    def rules(self) -> dict[str, Any]:
        """Return the parameters that the request contains, by name, as the fields of a JSON request."""
        fields: dict[str, Any] = self.model_dump(exclude_unset=True)
        return fields


class Query(SimilarQuery):
    """The fields of ``Recommend`` except ``user`` and ``history``, as query parameters."""

    filter_seen: bool = True
    explain: bool = False


JSON_PARAMETERS = {name for name, field in Query.model_fields.items() if JsonText in field.metadata}
"""The query parameters whose values are JSON."""


class Share(BaseModel):
    """Contribution of a history item, or of a disliked item, to a score.

    ``item`` is null for the joint contribution of the popularity prior and of ``direction``.
    """

    item: str | None
    share: float


class AnsweredItem(BaseModel):
    """A ranked item.

    ``why`` contains the shares of the score of a recommendation, if the request has ``explain``.
    """

    item: str
    score: float
    title: str | None = None
    source: str | None = None
    why: list[Share] | None = None


class Answer(BaseModel):
    """Recommendations, best first. ``degraded`` lists the parts of the service that were unavailable."""

    version: str | None
    items: list[AnsweredItem]
    degraded: list[str] | None = None


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


class BatchAnswer(BaseModel):
    """The answer to each request of a batch, in the same order; for an invalid request, the error."""

    answers: list[Answer | ProblemDetails]


class EventsAnswer(BaseModel):
    """Numbers of new events, and of known events, which repeat a stored event or an event of the request."""

    new: int
    known: int


class ItemAnswer(BaseModel):
    """An item of the model or the store. ``count`` is the number of its tokens in training."""

    item: str
    title: str | None
    attributes: dict[str, Any]
    count: int
    active: bool


class SearchAnswer(BaseModel):
    """Items that match a search, best first."""

    items: list[ItemAnswer]
