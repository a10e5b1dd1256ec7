"""Schemas of the requests of the HTTP service; ``answers`` has those of the answers.

A JSON body must not have unknown fields, and a GET request under /v1 must not have unknown query parameters.
Other routes ignore unknown query parameters. In JSON, types are not converted, except that integers (``k``,
``interests``, the values of ``at_most``, and timestamps) may be written as numbers such as 10.0. Query
parameters are text, and are converted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from item2vec.errors import InputError
from item2vec.service.fields import (
    Boost,
    Finite,
    Id,
    Ids,
    Interests,
    JsonText,
    K,
    MaxHistory,
    Pair,
    QueryIds,
    StoredId,
    Text,
    Timestamp,
    Where,
    Whole,
    by_type,
    refuse_unknown,
)

__all__ = [
    "JSON_PARAMETERS",
    "LIST_PARAMETERS",
    "Analogy",
    "Batch",
    "CompareBody",
    "EventList",
    "HistoryItem",
    "ItemBody",
    "ItemWithId",
    "Query",
    "Recommend",
    "Rules",
    "SimilarBody",
    "SimilarQuery",
]


class _Named(BaseModel):
    """A schema without unknown names, whose errors contain the nearest known name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, fields: Any) -> Any:
        return refuse_unknown(fields, cls.model_fields)


class _Strict(_Named):
    model_config = ConfigDict(strict=True)


class Rules(_Strict):
    """The fields that all requests for ranked items have in common: ``k`` and the rules.

    The service limits ``k`` (by default to 1,000), and the number of ids in a history or in ``exclude``,
    ``allow``, ``deny`` and ``disliked`` (by default to 10,000).
    """

    k: Annotated[K, Whole] = 10
    where: Where | None = None
    exclude: Ids = []
    allow: Ids | None = None
    deny: Ids = []
    disliked: Ids = []
    at_most: Annotated[dict[str, Annotated[int, Field(ge=1), Whole]], Field(max_length=10)] = {}
    diversity: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    boost: Boost = {}
    popularity: Annotated[Finite, Field(ge=0, le=1e6)] | None = None
    interests: Interests | None = None
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


Token = Annotated[
    Annotated[Id, Tag("<id>")] | Annotated[HistoryItem, Tag("<object>")],
    by_type(
        {str: "<id>", dict: "<object>", HistoryItem: "<object>"},
        "an id, or an object with the field item",
    ),
]


class Recommend(Rules):
    """A request for recommendations: for a user of the store, or for a history, oldest item first."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["user"]}, {"required": ["history"]}]}
    )

    # None is the default, but not valid in a request: a request has exactly one of the two fields.
    user: Annotated[StoredId, Field(default=None)]
    history: Annotated[list[Token], Field(default=None), MaxHistory]
    filter_seen: bool = True
    explain: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.user is None) == (self.history is None):
            raise InputError(
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

    requests: Annotated[list[Annotated[Any, WithJsonSchema({"type": "object"})]], Field(max_length=1_000)]


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

    user: StoredId
    item: StoredId
    timestamp: Timestamp | None = None
    event: StoredId | None = None
    weight: Annotated[Finite, Field(ge=0, le=1e6)] | None = None
    session: StoredId | None = None
    key: StoredId | None = None


class EventList(_Strict):
    """Events to store."""

    events: Annotated[list[Event], Field(min_length=1, max_length=1_000)]


class ItemBody(_Strict):
    """Changes of an item. Omitted fields keep their values; ``attributes`` replaces all attributes.

    If ``title`` is null, the item has no title. If ``attributes`` or ``active`` is null, it keeps its value,
    as if it were omitted.
    """

    title: Annotated[Text, Field(max_length=10_000)] | None = None
    attributes: Annotated[dict[str, Any], Field(max_length=1_000)] | None = None
    active: bool | None = None


class ItemWithId(ItemBody):
    """Changes of an item whose id is in the body."""

    item: StoredId


def _digits(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


class SimilarQuery(_Named):
    """The fields of ``Rules`` as query parameters.

    ``where``, ``at_most`` and ``boost`` are JSON objects, and ``direction`` is a JSON array of two objects.
    ``boost`` may also be a JSON array of pairs.
    """

    k: K = 10
    where: Annotated[Where, JsonText] = {}
    exclude: QueryIds = []
    allow: QueryIds | None = None
    deny: QueryIds = []
    disliked: QueryIds = []
    at_most: Annotated[dict[str, Annotated[int, Field(ge=1), Whole]], JsonText] = {}
    diversity: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    boost: Annotated[Boost, JsonText] = {}
    popularity: Annotated[Finite, Field(ge=0, le=1e6)] | None = None
    interests: Annotated[Interests | None, BeforeValidator(_digits)] = None
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

LIST_PARAMETERS = {"exclude", "allow", "deny", "disliked"}
"""The query parameters that may be repeated."""
