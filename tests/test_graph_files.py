"""Graphs in files and objects of other libraries are read as the graph that was written, or are named."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import networkx
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import adapters, readers
from item2vec.errors import ConfigError, InputError, InputTypeError, InvalidIdError
from item2vec.graph import Graph

INPUTS = Path(__file__).parent / "inputs"

names = st.text(st.characters(categories=["L", "N"], include_characters=" ,;&<"), min_size=1, max_size=5).map(
    str.strip
)
weights = st.sampled_from([0.25, 0.5, 1.0, 3.0, 1000.0])


@st.composite
def graphs(draw):
    """Return the nodes and the edges of a graph (with or without weights), and whether it is directed."""
    nodes = draw(st.lists(names.filter(bool), min_size=1, max_size=5, unique=True))
    node = st.sampled_from(nodes)
    edge = st.tuples(node, node, weights) if draw(st.booleans()) else st.tuples(node, node)
    edges = draw(st.lists(edge, min_size=1, max_size=8, unique_by=lambda edge: frozenset(edge[:2])))
    return nodes, edges, draw(st.booleans())


def value(graph):
    """Return all that a graph states, independent of the order of its nodes."""
    found = graph.weights if graph.weights is not None else [None] * len(graph.neighbours)
    edges = zip(graph.neighbours, found, strict=True)
    pairs = {
        (node, graph.nodes.ids[neighbour], None if weight is None else float(weight))
        for code, node in enumerate(graph.nodes)
        for neighbour, weight in list(zip(graph.neighbours, found, strict=True))[
            graph.offsets[code] : graph.offsets[code + 1]
        ]
    }
    assert len(list(edges)) == len(pairs)
    return {*graph.nodes.ids}, graph.directed, pairs


def expected_of(nodes, edges, directed):
    graph = Graph.of(edges, directed=directed)
    return {*nodes}, directed, value(graph)[2]


def graphml(nodes, edges, directed):
    key = '<key id="d0" for="edge" attr.name="weight" attr.type="double"><default>3.0</default></key>'
    lines = ['<?xml version="1.0"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    lines += [key] if len(edges[0]) == 3 else []
    lines.append(f'<graph edgedefault="{"directed" if directed else "undirected"}">')
    lines += [f"<node id={quoteattr(node)}/>" for node in nodes]
    for source, target, *weight in edges:
        data = f'<data key="d0">{weight[0]}</data>' if weight and weight[0] != 3 else ""
        lines.append(f"<edge source={quoteattr(source)} target={quoteattr(target)}>{data}</edge>")
    return "\n".join([*lines, "</graph></graphml>"])


def pajek(nodes, edges, directed):
    number = {node: n for n, node in enumerate(nodes, 1)}
    lines = ["% a comment", f"*Vertices {len(nodes)}"]
    lines += [f' {n} "{node}" 0.1 0.2' for node, n in number.items()]
    lines.append("*Arcs" if directed else "*edges")
    lines += [" ".join(map(str, (number[a], number[b], *weight))) for a, b, *weight in edges]
    return "\r\n".join(lines)


@examples(60)
@given(graphs())
def test_graph_files_are_read_as_written(tmp_path_factory, graph):
    folder = tmp_path_factory.mktemp("graphs")
    (folder / "g.graphml").write_text(graphml(*graph), "utf-8")
    (folder / "h.txt").write_text(graphml(*graph), "utf-8")
    (folder / "g.net").write_text(pajek(*graph), "utf-8", newline="")
    for name in ("g.graphml", "h.txt", "g.net"):
        assert value(readers.read_edges(folder / name)) == expected_of(*graph)
    nodes, edges, directed = graph
    unweighted = expected_of(nodes, [edge[:2] for edge in edges], directed)
    for name in ("g.graphml", "g.net"):
        assert value(readers.read_edges(folder / name, weight=False)) == unweighted


class NetworkxGraph:
    """Stand-in with the attributes of a networkx graph that are used."""

    def __init__(self, nodes, edges, directed):
        self.nodes = dict.fromkeys(nodes)
        self._edges, self._directed = edges, directed

    def is_directed(self):
        return self._directed

    def edges(self, data=False):
        assert data
        return [(a, b, dict(zip(["weight"], weight, strict=False))) for a, b, *weight in self._edges]


class Columns:
    """Stand-in for the sequences ``vs`` and ``es`` of igraph."""

    def __init__(self, **columns):
        self._columns = columns

    def attributes(self):
        return list(self._columns)

    def __getitem__(self, name):
        return self._columns[name]


class IgraphGraph:
    """Stand-in with the attributes of an igraph graph that are used."""

    def __init__(self, nodes, edges, directed):
        self.vs = Columns(name=nodes)
        columns = {"weight": [edge[2] for edge in edges]} if len(edges[0]) == 3 else {}
        self.es = Columns(**columns)
        self._pairs = [(nodes.index(edge[0]), nodes.index(edge[1])) for edge in edges]
        self._directed = directed

    def is_directed(self):
        return self._directed

    def ecount(self):
        return len(self._pairs)

    def vcount(self):
        return len(self.vs["name"])

    def get_edgelist(self):
        return self._pairs


@examples(40)
@given(graphs())
def test_graph_objects_are_read(graph):
    for made in (NetworkxGraph(*graph), IgraphGraph(*graph)):
        assert value(readers.read_edges(made)) == expected_of(*graph)
        assert value(readers.read_edges(made, directed=False))[1] is False
    assert readers.read_edges(made).nodes.ids == tuple(graph[0])
    assert adapters.walks(made, walks_per_node=1, walk_length=2).vocabulary.ids == tuple(graph[0])


def test_a_graph_of_networkx_itself():
    graph = networkx.karate_club_graph()
    assert readers.read_edges(graph).n_edges == graph.number_of_edges()


def test_examples_of_graph_objects():
    undirected = NetworkxGraph([1, 2, 3], [(1, 2)], False)
    assert readers.read_edges(undirected).nodes.ids == ("1", "2", "3")
    with pytest.raises(ConfigError, match="NetworkxGraph is undirected; expected a directed graph"):
        adapters.walks(undirected, directed=True)
    with pytest.raises(InputError, match="no edge attribute 'cost'; found 'weight'"):
        readers.read_edges(NetworkxGraph("ab", [("a", "b", 2)], False), weight="cost")
    with pytest.raises(InputError, match="edge 0: weight -1"):
        readers.read_edges(NetworkxGraph("ab", [("a", "b", -1)], False))
    with pytest.raises(InputError, match="edge 1: an edge without a weight"):
        readers.read_edges(NetworkxGraph("ab", [("a", "b", 2), ("b", "b")], False))
    with pytest.raises(InputTypeError, match=r"node 0: node \(1, 2\)"):
        readers.read_edges(NetworkxGraph([(1, 2)], [], False))
    with pytest.raises(InvalidIdError, match="node 1: node ''"):
        readers.read_edges(NetworkxGraph(["a", ""], [("a", "a")], False))
    with pytest.raises(InvalidIdError, match="edge 1: node ''"):
        readers.read_edges(NetworkxGraph(["a"], [("a", "a"), ("a", "")], False))


def test_a_weight_of_csv_is_the_weight_of_text():
    for name in ("weighted_edges.csv", "weighted_edges.txt"):
        graph = readers.read_edges(INPUTS / name)
        assert graph.weights.max() == 1000
        walks = adapters.walks(graph, walks_per_node=200, walk_length=2, seed=3)
        assert sum(walk == ["a", "best"] for walk in walks) == 200
        assert readers.read_edges(INPUTS / name, weight=False).weights is None


def test_inputs():
    follows = {"source_column": "from", "target_column": "to", "directed": True}
    graph = readers.read_edges(INPUTS / "follows.csv", **follows)
    assert (graph.directed, graph.neighbours_of("u0"), graph.neighbours_of("u1")) == (True, ["u1"], ["u2"])
    graph = readers.read_edges(INPUTS / "graph.net")
    assert graph.nodes.ids == ("Ann", "Bob", "Cid")
    assert (graph.neighbours_of("Bob"), graph.directed) == (["Ann", "Cid"], False)
    with pytest.raises(
        InputError,
        match=r"no column 'source'; found 'from', 'to'; .* with source_column=, or pass format='lines'",
    ):
        readers.read_edges(INPUTS / "follows.csv")


def test_the_column_of_weights_is_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "e.csv").write_text("Weight,source,target,since\n2,a,b,1990\n")
    assert readers.read_edges(tmp_path / "e.csv").weights.tolist() == [2, 2]
    assert caplog.messages == [f"{tmp_path / 'e.csv'}: column 'Weight' holds the weights of edges"]
    caplog.clear()
    frame = pd.DataFrame({"source": ["a"], "target": ["b"], "count": [2]})
    assert readers.read_edges(frame).weights is None
    assert caplog.messages == [
        "DataFrame: no column 'weight'; the edges have no weights, and the columns 'count' are not used"
    ]
    caplog.clear()
    assert readers.read_edges(frame, weight="count").weights.tolist() == [2, 2]
    assert readers.read_edges(frame, weight=False).weights is None
    assert readers.read_edges(frame[["source", "target"]]).weights is None
    assert caplog.messages == []
    (tmp_path / "e.csv").write_text("source,target,weight\na,b,1\nb,c,0\n")
    with pytest.raises(InputError, match=r"line 3: weight '0'; expected a finite number > 0"):
        readers.read_edges(tmp_path / "e.csv")


@pytest.mark.parametrize(
    ("name", "text", "options", "edges"),
    [
        ("e.txt", "a, b\na, c\n", {}, ["a>b", "a>c"]),
        ("e.txt", "a, b, 2\n", {}, ["a>b"]),
        ("e.txt", "Ann Lee\tBob\nBob\tCy\n", {}, ["Ann Lee>Bob", "Bob>Cy"]),
        ("e.txt", "a::b::2\n", {"sep": "::", "format": "lines"}, ["a>b"]),
        ("e.txt", "a, b\n", {"sep": " "}, ["a,>b"]),
        ("e.txt", "a \t b\t 2\n", {"sep": " "}, ["a>b"]),
        ("e.csv", 'a,b\n"b,1",c\n', {"format": "lines"}, ["a>b", "b,1>c"]),
        ("e.csv", 'a,b\n"b",c\n', {"format": "lines", "quotes": False}, ['"b">c', "a>b"]),
        ("e.adjlist", "a, b c\n", {"sep": ","}, ["a>b c"]),
        ("e.graph", "2 1\n1 2\n", {"format": "lines"}, ["1>2", "2>1"]),
        ("e.net", '*Vertices 3\n1 "a"\n*Arcs\n1 2\n*Edges\n2 3\n', {}, ["2>3", "3>2", "a>2"]),
        ("e.net", "*Vertices 3\n*Arcslist\n1 2 3\n*Arcs\n3 1 5\n", {}, ["1>2", "1>3", "3>1"]),
        ("e.net", '*Network x\n*Vertices 2\n1 Ann\n2 "B b"\n*Arcs :1 "likes"\n1 2\n', {}, ["Ann>B b"]),
    ],
)
def test_examples_of_files(tmp_path, name, text, options, edges):
    (tmp_path / name).write_text(text)
    graph = readers.read_edges(tmp_path / name, **{"directed": True, **options})
    assert sorted(f"{a}>{b}" for a in graph.nodes for b in graph.neighbours_of(a)) == edges


def test_a_missing_weight_of_pajek_is_1(tmp_path):
    (tmp_path / "g.net").write_text("*Vertices 3\n*Edges\n1 2 5\n2 3\n")
    assert readers.read_edges(tmp_path / "g.net").weights.tolist() == [5, 5, 1, 1]


IGRAPH = (
    '<graphml><key id="v_name" for="node" attr.name="name"/><graph edgedefault="directed">'
    '<node id="n0"><data key="v_name">Ann</data></node><node id="n1"><data key="v_name">{}</data></node>'
    '<edge source="n0" target="n1"/></graph></graphml>'
)


def test_the_names_of_igraph_are_nodes(tmp_path):
    (tmp_path / "g.graphml").write_text(IGRAPH.format("Bob"))
    assert readers.read_edges(tmp_path / "g.graphml").neighbours_of("Ann") == ["Bob"]
    (tmp_path / "g.graphml").write_text(IGRAPH.format("Ann"))
    with pytest.raises(InputError, match="2 nodes named 'Ann'"):
        readers.read_edges(tmp_path / "g.graphml")


BOMB = "<!DOCTYPE g [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]><graphml><graph><node id='&b;'/></graph></graphml>"
MIXED = "<graphml><graph edgedefault='directed'><edge source='a' target='b' directed='false'/>"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.gml", "graph [\n  node [\n    id 0\n  ]\n]\n", "in the format GML.*networkx.read_gml"),
        ("g.gml", 'Creator "igraph"\nVersion 1\ngraph\n[\n', "in the format GML"),
        ("g.txt", "graph\n[\n", "in the format GML"),
        ("g.dot", "/* igraph */\n\ngraph {\n a -- b\n}\n", "in the format DOT"),
        ("g.txt", "strict digraph G {\n a -> b\n}\n", "in the format DOT"),
        ("g.gexf", "<?xml version='1.0'?><gexf></gexf>", "root element <gexf>; expected GraphML"),
        ("g.mtx", "%%MatrixMarket matrix coordinate real general\n3 3 1\n1 2 1\n", "Matrix Market"),
        ("g.graph", "% metis\n3 2\n2\n1 3\n2\n", "in the format METIS.*format='lines'"),
        ("g.net", "*Vertices 2\n*Matrix\n0 1\n1 0\n", r"line 2: the section \*Matrix"),
        ("g.net", "*Vertices 2\n*Edges\n1\n", "line 3: '1'; expected the numbers of two vertices"),
        ("g.net", "*Vertices 2\n*Edges\n1 2 x\n", "line 3: weight 'x'"),
        ("g.net", '*Vertices 2\n1 "a"\n2 "a"\n', "2 nodes named 'a'"),
        ("g.txt", "a,b\nc,d,e\n", "line 2: weight 'e'"),
        ("g.txt", "a,b\nc,d,e,f\n", "line 2: 4 fields"),
        ("g.txt", "a b\n*Vertices 3\n", r"line 2: a line that starts with '\*Vertices 3', as in Pajek"),
        ("g.adjlist", "a b\n*Edges\n", r"line 2: a line that starts with '\*Edges', as in Pajek"),
        ("g.txt", 'a b\n{"source": "a", "target": "b"}\n', "line 2: .*as in JSON"),
        ("g.txt", "a b\n" * 1500 + "a, b\n", "line 1501: found ',' before a space"),
        ("g.graphml", BOMB, "declaration of the entity 'a'"),
        ("g.graphml", MIXED + "<edge source='a' target='b'/></graph></graphml>", "directed and undirected"),
        ("g.graphml", "<graphml><graph><hyperedge/></graph></graphml>", "line 1: a hyperedge"),
        ("g.graphml", "<graphml><graph>\n<node id='a'/>\n<node/></graph></graphml>", "line 3: node ''"),
        ("g.net", f'*Vertices 2\n1 "a"\n2 "{"b" * 513}"\n', "line 3: node 'bbb"),
        ("g.net", f"*Vertices 2\n*Edges\n1 {'b' * 513}\n", "line 3: node 'bbb"),
        ("g.graphml", "<graphml>", "line 1: no element found"),
    ],
)
def test_other_graph_files_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        readers.read_edges(tmp_path / name)
