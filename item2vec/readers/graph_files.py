"""Read GraphML and Pajek files; recognise graph formats that are not supported, such as GEXF and METIS."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple, NoReturn
from xml.etree.ElementTree import Element

from item2vec.errors import InputError, Remedy
from item2vec.kinds import ARROW, ARROW_STREAM, PARQUET
from item2vec.layouts import first_line, layout_of, suffix_of
from item2vec.lines import lines_of
from item2vec.markup import xml_elements
from item2vec.opening import file_kind, reading
from item2vec.readers.edge_rows import Row, weight_of
from item2vec.readers.faults import Fault, short_repr

__all__ = ["GraphRows", "read_graph_file"]


class GraphRows(NamedTuple):
    """Rows of a graph (a row for each node, then a row for each edge), and whether the graph is directed."""

    directed: bool
    rows: Iterable[Row]


_GML = re.compile(r"(graph\s*\[?|creator\b.*)$", re.IGNORECASE)
_DOT = re.compile(r"/\*|(strict\s+)?(di)?graph\b[^\[]*\{", re.IGNORECASE)
_METIS = re.compile(r"\d+\s+\d+(\s+[01]{1,3}(\s+\d+)?)?$")
_READERS = {
    "GML": "networkx.read_gml",
    "DOT": "networkx.nx_pydot.read_dot",
    "Matrix Market": "scipy.io.mmread and networkx.from_scipy_sparse_array",
}
_SECTION = re.compile(r"\*\s*(\w+)\s*(\d*)")
_IGRAPH_NAME = "v_name"
_TOKEN = re.compile(r'"([^"]*)"|(\S+)')
_SECTIONS = {"vertices", "arcs", "edges", "arcslist", "edgeslist"}


def read_graph_file(path: Path, encoding: str, weight: str | bool | None, max_line: int) -> GraphRows | None:
    """Return the graph of a GraphML or Pajek file, or ``None`` for a file in no recognised graph format.

    ``weight`` is the argument of ``read_edges``. In Pajek files, it only matters whether it is ``False``.

    Raises
    ------
    InputError
        If the file is damaged, does not have the edge attribute that ``weight`` names, has two nodes of the
        same name, hyperedges, or both directed and undirected edges in GraphML, or is in a graph format that
        is recognised but not supported.
    """
    with reading(path):
        is_text = path.is_file() and file_kind(path) not in {PARQUET, ARROW, ARROW_STREAM}
    layout = _layout(path, encoding) if is_text else None
    if layout == "XML":
        return _graphml(path, weight)
    if layout == "Pajek":
        return _pajek(_pajek_lines(path, encoding, max_line), path, with_weights=weight is not False)
    if layout == "METIS":
        raise InputError(
            f"{path} is in the format METIS; expected an edge list: write one edge 'a b' per line",
            remedies=[Remedy("format", "lines", "pass {} if the file is an edge list")],
        )
    if layout in _READERS:
        raise InputError(
            f"{path} is in the format {layout}; expected an edge list, GraphML or Pajek: convert the file to "
            f"GraphML, or, in Python, read the file with {_READERS[layout]}, and pass the graph"
        )
    return None


def _layout(path: Path, encoding: str) -> str | None:
    suffix = suffix_of(path)
    first = first_line(path, encoding, comment="%" if suffix in {".net", ".graph", ".metis"} else None)
    layout = layout_of(first)
    if layout in {"XML", "Pajek", "Matrix Market"}:
        return layout
    if suffix in {".dot", ".gv"} or _DOT.match(first):
        return "DOT"
    if _GML.match(first) and (suffix == ".gml" or first.lower() in {"graph", "graph ["}):
        return "GML"
    return "METIS" if suffix in {".graph", ".metis"} and _METIS.match(first) else None


def _graphml(path: Path, weight: str | bool | None) -> GraphRows:
    """Read GraphML.

    The id of a node is the attribute ``id`` of its element or, in files of igraph, the vertex name. The
    weight of an edge is in a ``data`` element of the edge or, without such an element, the default value that
    the ``key`` element of the weight states.
    """
    keys: dict[str, Element] = {}
    edges: list[tuple[int, Element]] = []
    names: dict[str, str] = {}
    lines: dict[str, int] = {}
    directions: set[str] = set()
    tags = {"key", "node", "edge", "hyperedge", "graph"}
    advice = "convert the file, or, in Python, read it with networkx or igraph, and pass the graph"
    for number, element in xml_elements(path, root="graphml", tags=tags, kind="GraphML", advice=advice):
        get = element.attrib.get
        if element.tag == "key" and get("for") in {"edge", "all"}:
            keys[get("attr.name") or get("id", "")] = element
        elif element.tag == "node":
            data = {child.get("key"): child.text for child in element if child.tag == "data"}
            names[get("id", "")] = data.get(_IGRAPH_NAME) or get("id", "")
            lines[get("id", "")] = number
        elif element.tag == "edge":
            edges.append((number, element))
        elif element.tag == "graph":
            directions.add({"directed": "true"}.get(get("edgedefault", ""), "false"))
        elif element.tag == "hyperedge":
            _fail(path, number, "a hyperedge", "edges of two nodes")
    stated = {edge.get("directed") for _, edge in edges}
    directions = {str(direction) for direction in stated if direction} | (
        directions if None in stated or not edges else set()
    )
    if len(directions) > 1:
        raise InputError(
            f"{path} has directed and undirected edges; expected one kind: write each undirected edge as "
            "two directed edges"
        )
    if isinstance(weight, str) and weight not in keys:
        found = ", ".join(map(repr, keys)) or "none"
        raise InputError(
            f"{path} has no edge attribute {weight!r}; found {found}",
            remedies=[Remedy("weight", text="name an attribute with {}")],
        )
    key = None if weight is False else keys.get("weight" if weight is None else str(weight))
    nodes = _rows_of_nodes(path, names, lines)
    return GraphRows(directions == {"true"}, chain(nodes, _edges_of_xml(path, edges, key, names)))


def _edges_of_xml(
    path: Path, edges: Iterable[tuple[int, Element]], key: Element | None, names: Mapping[str, str]
) -> Iterator[Row]:
    key_id = None if key is None else key.get("id")
    default = None if key is None else next((child.text for child in key if child.tag == "default"), None)
    for number, edge in edges:
        texts = {child.get("key"): child.text for child in edge if child.tag == "data"}
        value = default if key_id is None else texts.get(key_id, default)
        weight = None if value is None else weight_of(str(path), "line", number, value)
        ends = (edge.get("source", ""), edge.get("target", ""))
        yield number, [names.get(end, end) for end in ends], weight


def _pajek(lines: Iterator[tuple[int, str]], path: Path, *, with_weights: bool) -> GraphRows:
    """Read Pajek. The id of a node is the label of the vertex or, without a label, the number of the vertex.

    If any edge has a weight, a missing weight is 1. If the file has arcs, the graph is directed, and an edge
    of a section ``*Edges`` or ``*Edgeslist`` is read as an edge in each direction.
    """
    labels: dict[str, str] = {}
    first_lines: dict[str, int] = {}
    links: list[tuple[int, str, list[str]]] = []
    section = ""
    for number, line in lines:
        found = _SECTION.match(line)
        if found:
            section = found[1].lower()
            if section not in _SECTIONS | {"network"}:
                known = "*Vertices, *Arcs, *Edges, *Arcslist or *Edgeslist"
                _fail(path, number, f"the section *{found[1]}", known)
        elif section == "vertices":
            vertex, *label = [quoted or word for quoted, word in _TOKEN.findall(line)]
            labels[vertex] = label[0] if label else vertex
            first_lines[vertex] = number
        elif section:
            links.append((number, section, line.split()))
    links = [link for listed in links for link in _pairs(path, *listed)]
    for number, _, fields in links:
        for vertex in fields[:2]:
            labels.setdefault(vertex, vertex)
            first_lines.setdefault(vertex, number)
    weighted = with_weights and any(len(fields) > 2 for _, _, fields in links)
    rows = _rows_of_nodes(path, labels, first_lines)
    directed = any(section == "arcs" for _, section, _ in links)
    for number, section, fields in links:
        source, target = (labels[vertex] for vertex in fields[:2])
        weight = weight_of(str(path), "line", number, [*fields, 1][2]) if weighted else None
        rows.append((number, [source, target], weight))
        if directed and section == "edges" and source != target:
            rows.append((number, [target, source], weight))
    return GraphRows(directed, rows)


def _rows_of_nodes(path: Path, names: Mapping[str, str], lines: Mapping[str, int]) -> list[Row]:
    """Return a row per node, given the names and the line numbers; raise ``InputError`` for equal names."""
    name, n_nodes = next(iter(Counter(names.values()).most_common(1)), ("", 0))
    if n_nodes > 1:
        raise InputError(f"{path} has {n_nodes} nodes named {name!r}; expected distinct names: rename them")
    return [(lines[node], [name], None) for node, name in names.items()]


def _pajek_lines(path: Path, encoding: str, max_line: int) -> Iterator[tuple[int, str]]:
    for number, line in lines_of(path, encoding, max_line):
        text = line.strip()
        if text and not text.startswith("%"):
            yield number, text


def _pairs(path: Path, number: int, section: str, fields: list[str]) -> list[tuple[int, str, list[str]]]:
    """Return the edges of a line: one or, in ``*Arcslist`` and ``*Edgeslist``, all from the first vertex.

    Each edge is a triple: the line number; the section, ``"arcs"`` or ``"edges"``; and the fields.
    """
    if len(fields) < 2:
        _fail(path, number, short_repr(" ".join(fields)), "the numbers of two vertices")
    if section.endswith("list"):
        return [(number, section.removesuffix("list"), [fields[0], other]) for other in fields[1:]]
    return [(number, section, fields)]


def _fail(path: Path, number: int, found: str, expected: str) -> NoReturn:
    raise InputError(str(Fault(str(path), "line", number, found, expected)))
