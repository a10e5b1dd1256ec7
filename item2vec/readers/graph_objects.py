"""Convert graphs of networkx and igraph, recognised by their methods, to rows of nodes and edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from item2vec.errors import InputError, Remedy
from item2vec.readers.edge_rows import Row, text_ids, weight_of
from item2vec.readers.faults import short_repr
from item2vec.readers.graph_files import GraphRows

__all__ = ["graph_of_object"]


def graph_of_object(source: Any, weight: str | bool | None) -> GraphRows | None:
    """Return the rows of a networkx or igraph graph, or ``None`` for another object.

    The id of an igraph node is the vertex attribute ``name`` or, without this attribute, the vertex number.
    ``weight`` is the argument of ``read_edges``.
    """
    if not callable(getattr(source, "is_directed", None)):
        return None
    if hasattr(source, "vs") and hasattr(source, "es"):
        has_names = "name" in source.vs.attributes()
        nodes = list(source.vs["name"]) if has_names else list(range(source.vcount()))
        attribute = _attribute(source, source.es.attributes(), weight)
        values = source.es[attribute] if attribute else [None] * source.ecount()
        edges = zip(source.get_edgelist(), values, strict=True)
        pairs: Iterable[Any] = ((nodes[start], nodes[end], value) for (start, end), value in edges)
    elif hasattr(source, "nodes") and callable(getattr(source, "edges", None)):
        nodes = list(source.nodes)
        found = {name for *_, data in source.edges(data=True) for name in data}
        attribute = _attribute(source, found, weight)
        pairs = ((start, end, data.get(attribute)) for start, end, data in source.edges(data=True))
    else:
        return None
    return GraphRows(bool(source.is_directed()), _rows(type(source).__name__, nodes, pairs))


def _rows(name: str, nodes: Iterable[Any], edges: Iterable[Any]) -> Iterator[Row]:
    for number, node in enumerate(nodes):
        yield number, text_ids(name, "node", number, [node]), None
    for number, (source, target, value) in enumerate(edges):
        weight = None if value is None else weight_of(name, "edge", number, value)
        yield number, text_ids(name, "edge", number, [source, target]), weight


def _attribute(source: Any, found: Iterable[str], weight: str | bool | None) -> str | None:
    """Return the name of the edge attribute of weights, or ``None`` if the edges have no weights.

    ``found`` holds the names of all edge attributes. The argument ``weight`` is the name of the attribute, or
    ``False`` for edges without weights, or ``None`` for the attribute ``"weight"``, if ``found`` contains it.
    Raise ``InputError`` if ``weight`` is a name that ``found`` does not contain.
    """
    names = sorted(map(str, found))
    if isinstance(weight, str) and weight not in names:
        known = ", ".join(map(short_repr, names)) or "none"
        raise InputError(
            f"{type(source).__name__} has no edge attribute {weight!r}; found {known}",
            remedies=[Remedy("weight", text="name an attribute with {}")],
        )
    if isinstance(weight, str):
        return weight
    return "weight" if weight is not False and "weight" in names else None
