"""Maps: colours, selections, several catalogues in one map, figures, pages and pictures."""

import base64
import gzip
import json
import re
import sys
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

import item2vec
from item2vec import Items, ItemVectors, Recommender, Vocabulary
from item2vec.errors import ConfigError, InputError, MissingExtraError, UnknownItemError
from item2vec.mapping import figure_of, layout, map_items, map_of
from item2vec.mapping.colours import colours_of
from item2vec.mapping.figure import page_of
from item2vec.mapping.item_map import ItemMap
from item2vec.mapping.picture import picture_of

SONGS = {
    "a": {"title": "Alpha & <Omega>", "genre": "jazz", "year": 1959, "live": True},
    "b": {"title": "Beta", "genre": ["soul", "jazz"], "year": 1965, "live": False},
    "c": {"genre": "jazz", "year": None},
    "d": {"title": "$Delta$", "genre": None, "year": 1983, "live": True},
}


def song_model(n=4):
    random = np.random.default_rng(2)
    vectors = ItemVectors(
        Vocabulary(tuple("abcd")[:n]), random.normal(size=(n, 3)), None, np.arange(n, 0, -1)
    )
    return Recommender(vectors, index="exact", items=Items.of(SONGS))


@pytest.fixture
def model():
    return song_model()


@pytest.mark.parametrize(
    ("attribute", "most", "names", "groups"),
    [
        ("genre", 10, ("jazz", "soul"), [0, 1, 0, -1, -1]),
        ("genre", 1, ("jazz",), [0, 1, 0, -1, -1]),
        ("live", 10, ("true", "false"), [0, 1, -1, 0, -1]),
        ("year", 10, ("1959", "1965", "1983"), [0, 1, -1, 2, -1]),
    ],
)
def test_values_are_grouped_by_frequency(attribute, most, names, groups):
    colours = colours_of(Items.of(SONGS), ["a", "b", "c", "d", "unknown"], attribute, most=most)
    assert (colours.names, colours.groups.tolist(), colours.numbers) == (names, groups, None)


def test_many_numbers_are_a_scale():
    colours = colours_of(Items.of(SONGS), ["d", "c", "a", "unknown"], "year", most=2)
    assert colours.names == ()
    assert np.array_equal(colours.numbers, [1983, np.nan, 1959, np.nan], equal_nan=True)


def test_only_values_of_the_drawn_items_have_a_colour():
    assert colours_of(Items.of(SONGS), ["b"], "genre").names == ("soul",)


def test_a_figure_has_a_trace_per_value_and_titles_on_hover(model):
    figure = model.map("genre")
    assert {trace.name: [unescape(text) for text in trace.text] for trace in figure.data} == {
        "no value": ["$Delta$"],
        "jazz": ["Alpha & <Omega>", "c"],
        "soul": ["Beta"],
    }
    assert {trace.type for trace in figure.data} == {"scattergl"}
    assert "Alpha &amp; &lt;Omega&gt;" in figure.data[1].text  # plotly interprets some HTML
    colours = [trace.marker.color for trace in figure.data]
    assert len(set(colours)) == 3


def test_a_figure_of_numbers_has_a_scale_and_grey_items(monkeypatch, model):
    monkeypatch.setattr(colours_of, "__kwdefaults__", {"most": 2})
    unknown, known = model.map("year").data
    assert (unknown.name, list(unknown.text)) == ("no value", ["c"])
    assert list(known.marker.color) == [1959, 1965, 1983]
    assert known.marker.colorbar.title.text == "year"


def test_positions_are_those_of_the_layout(model):
    assert np.array_equal(map_items(model).positions, layout(model.vectors))


def test_a_stored_layout_is_used_unless_another_is_requested(model):
    stored = Recommender.from_parts(replace(model.parts, layout=np.full((4, 2), 0.25, dtype=np.float32)))
    assert (map_items(stored).positions == 0.25).all()
    for arguments in ({"items": ["a", "b"]}, {"method": "pca"}, {"seed": 2}):
        assert not (map_items(stored, **arguments).positions == 0.25).all(), arguments


@pytest.mark.parametrize(
    ("selection", "titles"),
    [
        ({"items": ["d", "b"]}, ["Beta", "$Delta$"]),
        ({"where": {"genre": "jazz"}}, ["Alpha & <Omega>", "Beta", "c"]),
        ({"items": ["a", "d"], "where": {"live": True}}, ["Alpha & <Omega>", "$Delta$"]),
    ],
)
def test_a_selection_is_drawn(model, selection, titles):
    assert list(map_items(model, **selection).titles) == titles


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"color": "gnre"}, InputError, "did you mean 'genre'"),
        ({"where": {"genre": "polka"}}, InputError, "the selection contains no item"),
        ({"items": ["x"]}, UnknownItemError, "unknown item 'x'"),
        ({"method": "mds"}, ConfigError, "expected one of tsne, umap, pca"),
    ],
)
def test_a_wrong_argument_is_an_error(model, arguments, error, message):
    with pytest.raises(error, match=message):
        model.map(**arguments)


def test_attributes_require_items(model):
    plain = Recommender(model.vectors, index="exact")
    for arguments in ({"color": "genre"}, {"where": {"genre": "jazz"}}):
        with pytest.raises(InputError, match="requires items with attributes"):
            plain.map(**arguments)
    assert list(plain.map().data[0].text) == ["a", "b", "c", "d"]


def test_two_catalogues_are_drawn_in_one_space():
    first, second = song_model(4), song_model(3)
    figure = map_of([first, second], labels=["Shop A", "Shop B"])
    assert [(trace.name, len(trace.x)) for trace in figure.data] == [("Shop A", 4), ("Shop B", 3)]
    # The first three items have the same vectors in both catalogues.
    assert np.allclose(figure.data[0].x[:3], figure.data[1].x)


@pytest.mark.parametrize(
    ("labels", "message"), [(["A"], "one distinct label per model"), (["A", "A"], "one distinct label")]
)
def test_labels_are_checked(model, labels, message):
    with pytest.raises(InputError, match=message):
        map_of([model, model], labels=labels)


def test_catalogues_of_different_dimensions_are_refused(model):
    other = Recommender(ItemVectors(Vocabulary(("z",)), np.ones((1, 2)), None, np.ones(1)), index="exact")
    with pytest.raises(InputError, match=r"\[2, 3\] dimensions"):
        map_of([model, other], labels=["A", "B"])


@pytest.mark.parametrize(("module", "draw"), [("plotly", figure_of), ("matplotlib", picture_of)])
def test_a_missing_library_is_named(monkeypatch, model, module, draw):
    drawn = map_items(model)
    for name in (module, f"{module}.graph_objects"):
        monkeypatch.setitem(sys.modules, name, None)  # an import raises ModuleNotFoundError
    with pytest.raises(MissingExtraError, match=rf"{module} is not installed.*'item2vec\[report\]'"):
        draw(drawn, *(["png"] if draw is picture_of else []))


def packed(page, name):
    content = re.search(rf'id="{name}">([^<]*)<', page.decode())[1]
    return gzip.decompress(base64.b64decode(content)).decode()


def test_a_page_contains_the_library_and_the_figure_and_loads_nothing(model):
    drawn = map_items(model, "genre")
    page = page_of(drawn)
    assert page == page_of(drawn)
    assert json.loads(packed(page, "figure")) == json.loads(figure_of(drawn).to_json())
    assert "Plotly" in packed(page, "plotly")
    assert not re.search(rb"(src|href)\s*=", page)


def random_map(n):
    random = np.random.default_rng(5)
    positions = random.random((n, 2), dtype=np.float32)
    return ItemMap([f"Title {i}" for i in range(n)], positions, np.arange(n, 0.0, -1.0), None)


@pytest.mark.parametrize(("n", "has_image"), [(500, False), (10_001, True)])
def test_points_of_a_large_svg_are_an_image(n, has_image):
    drawn = random_map(n)
    picture = picture_of(drawn, "svg")
    assert picture == picture_of(drawn, "svg")
    assert (b"<image" in picture) == has_image
    assert b"Title 0" in picture  # the most frequent item is labelled
    assert len(picture) < 1_000_000


def test_labels_cover_neither_labels_nor_labelled_points(monkeypatch):
    """Labels of points near the right edge are to their left, towards the labels of other points."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda own, *to, **how: figures.append(own) or save(own, *to, **how)
    )
    drawn = replace(random_map(500), titles=["A WIDE title of an item"] * 500)
    drawn.positions[:2] = (0.55, 0.5), (0.95, 0.51)  # the most frequent items
    picture_of(drawn, "png")
    axes = figures[0].axes[0]
    labels = [label.get_window_extent() for label in axes.texts]
    points = [axes.transData.transform(line.get_xydata()[0]) for line in axes.lines]
    assert len(labels) == 14
    for at, label in enumerate(labels):
        assert not label.count_overlaps([*labels[:at], *labels[at + 1 :]])
        assert not any(label.contains(*point) for point in points)


def test_a_labelled_point_keeps_its_colour(model):
    picture = picture_of(map_items(model, "genre"), "svg").decode()
    rings = re.findall(r'<use [^>]*style="([^"]*stroke: #1d211e[^"]*)"', picture)
    assert rings
    assert not [style for style in rings if "fill: #1d211e" in style]


def test_a_long_name_is_cut_in_the_legend(model):
    name = "n" * 40
    drawn = map_of([model], labels=[name])
    assert [trace.name for trace in drawn.data] == ["n" * 25 + "…"]


def test_dollar_signs_in_titles_are_text(model):
    picture = picture_of(map_items(model, "genre"), "svg")
    assert b"$Delta$" in picture


def test_a_png_is_a_png(model):
    assert picture_of(map_items(model, "year"), "png").startswith(b"\x89PNG")


@pytest.fixture
def bundle_path(model, tmp_path):
    model.save(tmp_path / "bundle")
    return str(tmp_path / "bundle")


def test_the_command_draws_a_selection(item2vec, bundle_path, tmp_path):
    words = ("map", "--model", bundle_path, "--out", "m.svg", "--color", "genre", "--where", "year<1980")
    code, out, err = item2vec(*words, "--json")
    assert code == 0, err
    content = (tmp_path / "m.svg").read_bytes()
    facts = {"file": "m.svg", "items": 2, "color": "genre", "method": "pca", "bytes": len(content)}
    assert json.loads(out) == facts
    assert b"Beta" in content
    assert b"Delta" not in content


def test_the_command_draws_the_served_model(models_path, item2vec, tmp_path):
    code, _, err = item2vec("map", "--models", models_path, "--out", "m.html")
    assert code == 0, err
    assert b"DecompressionStream" in (tmp_path / "m.html").read_bytes()


@pytest.fixture
def models_path(model, tmp_path):
    item2vec.publish(model, tmp_path / "models")
    return str(tmp_path / "models")


def test_the_command_names_its_flags_for_a_model_without_items(item2vec, model, tmp_path):
    Recommender(model.vectors).save(tmp_path / "bundle")
    words = ("map", "--model", str(tmp_path / "bundle"), "--out", "m.svg", "--color", "genre")
    code, _, err = item2vec(*words)
    assert code == 2
    assert err.endswith("the model has none; omit --color, or train the model with --items FILE\n")


def test_the_option_model_precedes_the_environment(item2vec, bundle_path, monkeypatch):
    monkeypatch.setenv("ITEM2VEC_MODELS", "nowhere")
    code, _, err = item2vec("map", "--model", bundle_path, "--out", "m.svg")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "m.pdf"), "expected a name that ends in .html, .svg, .png"),
        (("--out", "m.svg", "--models", "x"), "got both --model and --models; expected one of them"),
        (("--out", "m.svg", "--method", "mds"), "expected one of tsne, umap, pca"),
        (("--out", "m.svg", "--color", "gnre"), "did you mean 'genre'"),
        (("--out", "none/m.svg"), "the folder"),
    ],
)
def test_a_wrong_option_is_an_error(item2vec, bundle_path, words, message):
    code, _, err = item2vec("map", "--model", bundle_path, *words)
    assert code in {1, 2}
    assert message in err
