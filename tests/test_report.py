"""The report: its numbers, escaping of unusual text, and a page that opens in a browser without a network."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects
import pytest
from faults.child import HANGING
from strategies import ODD_IDS

from item2vec import Items, Recommender, Sentences, train
from item2vec.errors import InputError, MissingExtraError, WriteError
from item2vec.evaluation.beyond_accuracy import BEYOND_ACCURACY
from item2vec.evaluation.evaluate import evaluate
from item2vec.evaluation.segments import segments
from item2vec.evaluation.split import Split
from item2vec.metrics.accuracy import ACCURACY
from item2vec.report import Study, check_extra, figures, write_report
from item2vec.report.embedding import draw_map
from item2vec.types import Recommendation, Vocabulary
from item2vec.vectors import Epoch, ItemVectors

CHROMIUM = shutil.which("chromium")
BROWSER = [
    CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=5000", "--dump-dom",
]  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>throw new Error('owned')</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    '"><b onclick="x">',
    "{{ 7 * 7 }}",
    "%{x}",
    "<a href='https://example.invalid/'>here</a>",
    "&lt;b&gt;",
)
SERIOUS = {"serious", "critical"}
ROW = r'<tr class="(?:ours|baseline)"><th scope="row">(.*?)</th>(.*?)</tr>'
"""Pattern of a row of the two tables of metrics."""
SECTIONS = {
    "verdict",
    "leaks",
    "metrics",
    "curves",
    "segments",
    "training",
    "exposure",
    "map",
    "examples",
    "facts",
}
CHARTS = {
    "ndcg@5", "hr", "ndcg", "recall", "history length", "popularity", "training", "exposure",
    "concentration", "coverage", "map",
}  # fmt: skip


class Page(HTMLParser):
    """Parser of a page: elements, attributes, and text outside of scripts and styles."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.attributes, self.text = [], [], ""
        self.within = None
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.attributes += [(tag, *attribute) for attribute in attributes]
        if tag in {"script", "style"}:
            self.within = tag

    def handle_endtag(self, tag):
        if tag in {"script", "style"}:
            self.within = None

    def handle_data(self, data):
        if self.within is None:
            self.text += data

    @property
    def ids(self):
        return {attributes["id"] for _, attributes in self.elements if "id" in attributes}

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@dataclasses.dataclass
class Oracle:
    """Model that recommends given items for each query, best first."""

    rankings: list[list[str]]

    def recommend_many(self, histories, *, k, filter_seen):
        return [
            [Recommendation(item, -float(n)) for n, item in enumerate(ranking[:k])]
            for ranking in self.rankings
        ]


def corpus(ids, n_sentences=60, seed=3):
    """Return sentences of consecutive ids, which start again after the last id."""
    random = np.random.default_rng(seed)
    starts = random.integers(0, len(ids), n_sentences)
    return Sentences.of(
        [[ids[(start + step) % len(ids)] for step in range(random.integers(3, 9))] for start in starts]
    )


def split_of(sentences):
    last = np.zeros(len(sentences.tokens), dtype=bool)
    last[sentences.offsets[1:] - 1] = True
    train = sentences.keep(~last)
    return Split(train, train, sentences.keep(last), "by hand", leak="it <i>leaks</i>")


@pytest.fixture(scope="module")
def study():
    """Study with unusual ids, hostile titles and attributes, an approximate index, and a training curve."""
    ids = [*ODD_IDS, *HOSTILE]
    split = split_of(corpus(ids, 400))
    items = Items.of(
        {
            id_: {"title": HOSTILE[n % len(HOSTILE)], "kind": HOSTILE[n % 5]}
            for n, id_ in enumerate(ids)
            if n % 3
        }
    )
    vectors = train(split.train, vector_size=8, epochs=2, workers=1)
    vectors = dataclasses.replace(vectors, curve=(Epoch(1, 0.1, 0.05), Epoch(2, 0.2, 0.1)))
    return Study.of(Recommender(vectors, index="annoy", items=items), split, k=(3, 5, 8))


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(study, path, now=datetime(2025, 5, 17, 12, 30))
    return path


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text())


def opened(path, folder):
    """Open a file in Chromium without a network; return the console messages and the rendered page."""
    done = subprocess.run(
        [*BROWSER, f"--user-data-dir={folder}", path.as_uri()],
        capture_output=True,
        timeout=HANGING,
        check=True,
    )
    return re.findall(rb":CONSOLE:\d+\] (.*)", done.stderr), Page(done.stdout.decode())


needs_browser = pytest.mark.skipif(
    CHROMIUM is None and "REQUIRE_BROWSER" not in os.environ,
    reason="chromium is not on the PATH",
)


@needs_browser
def test_the_page_opens_in_a_browser_without_a_network_and_without_a_message(written, tmp_path):
    messages, shown = opened(written, tmp_path)
    assert messages == []
    assert shown.ids >= SECTIONS
    assert sorted(a["data-figure"] for a in shown.all("figure")) == sorted(CHARTS)
    assert len(shown.all("svg")) == len(CHARTS)
    assert len(shown.all("circle")) >= 50
    assert shown.all("script") == []
    assert all(not value.startswith("http") for _, name, value in shown.attributes if name in {"src", "href"})


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ("<script>throw new Error('planted')</script>", b"inline script"),
        ("<b onclick='alert(1)'>planted</b>", b"inline event handler"),
        ("<img src='https://example.invalid/x.png'>", b"example.invalid"),
        ("<svg><image href='https://example.invalid/x.png'/></svg>", b"example.invalid"),
    ],
)
def test_the_browser_reports_scripts_and_requests(written, tmp_path, planted, message):
    """The content security policy makes scripts and requests messages, on which the test above relies."""
    head = written.read_text().split("<title>")[0]
    (tmp_path / "planted.html").write_text(f"{head}</head><body>{planted}</body></html>")
    messages, _ = opened(tmp_path / "planted.html", tmp_path / "profile")
    assert any(message in line for line in messages)


@pytest.mark.slow
@needs_browser
def test_the_page_is_accessible_and_has_no_horizontal_overflow_on_a_phone(written):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": 360, "height": 740}, color_scheme=scheme, bypass_csp=True
            )
            shown = context.new_page()
            shown.goto(written.as_uri())
            assert shown.evaluate("document.documentElement.scrollWidth") == 360
            only = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
            violations = Axe().run(shown, options=only).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in SERIOUS] == []
        browser.close()


def test_the_page_refers_to_nothing_outside(page):
    allowed = {"meta"}
    assert not [tag for tag, _, value in page.attributes if "//" in (value or "") and tag not in allowed]
    assert not {"link", "iframe", "object", "embed", "base", "img", "a", "form"} & {
        tag for tag, _ in page.elements
    }
    policy = next(
        a["content"] for _, a in page.elements if "Content-Security-Policy" in (a.get("http-equiv") or "")
    )
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_unusual_ids_and_hostile_titles_are_escaped(page, study):
    assert page.all("script") == []
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert "alert" not in (value or "")
    shown = [title for title in HOSTILE if title in page.text]
    assert len(shown) >= 5
    assert "it <i>leaks</i>" in page.text
    points = page.all("circle")
    assert len(points) >= len(study.model.vectors)
    for id_ in study.model.vocabulary:
        title = study.items.title(id_).replace("\r\n", "\n").replace("\r", "\n")  # as read_text does
        assert (title if len(title) <= 80 else title[:79]) in page.text, "in the map"


def test_plotly_accepts_every_figure(study):
    item_map = draw_map(study.model.vectors, study.items, seed=1)
    for figure in (
        figures.headline(study),
        figures.curve_over_k(study, "hr"),
        figures.coverage(study),
        figures.exposure_by_popularity(study),
        figures.lorenz(study),
        figures.training_curve(study.model.vectors.curve),
        figures.embedding_map(item_map),
    ):
        plotly.graph_objects.Figure(figure)


def test_the_page_shows_the_metrics_of_the_evaluations(page, study):
    headline = figures.headline(study)["data"][0]
    for name, value, above in zip(headline["y"], headline["x"], headline["error_x"]["array"], strict=True):
        assert value == pytest.approx(study.evaluations[name].metrics["ndcg@5"], rel=1e-5)
        assert value + above == pytest.approx(study.intervals[name]["ndcg@5"][1], rel=1e-4)
        assert f"{value:.4f}" in page.text
    assert headline["y"][-1] == "item2vec"
    for metric in ("hr", "ndcg", "recall", "coverage"):
        chart = figures.coverage(study) if metric == "coverage" else figures.curve_over_k(study, metric)
        assert [line["name"] for line in chart["data"]] == list(study.evaluations)
        for line in chart["data"]:
            metrics = study.evaluations[line["name"]].metrics
            assert line["x"] == list(range(1, 9))
            for k in (3, 5, 8):
                assert line["y"][k - 1] == pytest.approx(metrics[f"{metric}@{k}"], rel=1e-5)
    parts = [part for part in segments(study.evaluation, study.split) if part.by == "popularity"]
    bars = figures.segment_bars(study, parts, parts)["data"]
    assert bars[0]["y"] == pytest.approx([part.metrics["ndcg@5"] for part in parts], rel=1e-5)
    assert bars[0]["x"] == [f"{part.name}<br>{part.n_queries:,}" for part in parts]
    assert [bar["name"] for bar in bars] == ["item2vec", study.best_baseline]
    for part in parts:
        assert f"item2vec, {part.name}: {part.metrics['ndcg@5']:.4g}" in page.text, "title of a bar"
    assert figures.training_curve(study.model.vectors.curve)["data"][0]["y"] == [0.05, 0.1]
    assert f"{study.evaluation.exact['hr@5']:.4f}" in page.text
    assert "exact search" in page.text
    assert study.split.train.fingerprint() in page.text
    assert study.verdict in page.text
    assert "2025-05-17 12:30" in page.text


def test_exposures_sum_to_one_and_lorenz_curves_are_convex(study):
    exposure = figures.exposure_by_popularity(study)["data"]
    for bars in exposure:
        assert sum(bars["y"]) == pytest.approx(1, abs=1e-4)
    trained = exposure[0]["y"]
    assert trained[0] == max(trained)
    for line in figures.lorenz(study)["data"][1:]:
        assert (line["x"][0], line["y"][0], line["x"][-1], line["y"][-1]) == (0, 0, 1, 1)
        assert np.all(np.diff(line["y"], 2) >= -1e-4)
    items = study.evaluation.rankings.items[:, :5]
    counts = study.split.train.counts()
    top = np.argsort(-counts, kind="stable")[: -(-np.count_nonzero(counts) // 10)]
    ours = exposure[1]["y"][0]
    assert ours == pytest.approx(np.isin(items, top).sum() / (items >= 0).sum(), rel=1e-4)


def test_examples_are_three_hits_and_three_misses(page, study):
    assert sum(attributes.get("class") == "example" for _, attributes in page.elements) == 6
    hits = [1 for tag, a in page.elements if tag == "span" and a.get("class") == "tag yes"]
    assert len(hits) == 3
    marked = [1 for tag, a in page.elements if tag == "li" and a.get("class") == "hit"]
    assert len(marked) == 3


def test_the_same_study_and_seed_give_the_same_page(study, written, tmp_path):
    first, again, other_seed = (tmp_path / name for name in "123")
    write_report(study, first)
    write_report(study, again)
    write_report(study, other_seed, seed=2)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other_seed.read_bytes()
    assert first.read_text() == written.read_text().replace("2025-05-17 12:30 · ", "")


def test_a_report_replaces_a_file_atomically(study, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(study, path)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(WriteError, match=r"nowhere/report\.html could not be written: No such file"):
        write_report(study, tmp_path / "nowhere" / "report.html")


@pytest.mark.parametrize("library", ["jinja2", "openTSNE"])
def test_a_missing_library_is_an_error_that_names_the_extra(study, tmp_path, monkeypatch, library):
    for name in [
        name for name in sys.modules if name.startswith(("item2vec.report.", "item2vec.mapping.tsne"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'item2vec\[report\]'"):
        write_report(study, tmp_path / "report.html")
    with pytest.raises(MissingExtraError):
        check_extra()


def compared(ours, theirs):
    """Return a study of two models. One boolean per query states whether a model recommends the target."""
    ids = [f"i{n}" for n in range(len(ours))]
    whole = Sentences.of([ids])
    split = Split(whole, Sentences.of([[]] * len(ids)), Sentences.of([[id_] for id_ in ids]), "by hand")
    evaluations = [
        evaluate(Oracle([[ids[n] if hit else ids[n - 1]] for n, hit in enumerate(hits)]), split, k=1)
        for hits in (ours, theirs)
    ]
    vectors = ItemVectors(whole.vocabulary, np.ones((len(ids), 2)), None, np.ones(len(ids)))
    baselines = {"rival": evaluations[1], "worse": evaluations[1]}
    return Study(Recommender(vectors), split, evaluations[0], baselines, [1])


@pytest.mark.parametrize(
    ("ours", "theirs", "claim", "warns"),
    [
        ([1] * 30, [0] * 30, "item2vec beats all baselines", False),
        ([0, 1] * 15, [1] + [0, 1] * 14 + [0], "item2vec does not beat all baselines", True),
        ([1] + [0, 1] * 15, [0] + [0, 1] * 15, "item2vec does not significantly beat all baselines", True),
        ([0] * 30, [1] * 30, "item2vec does not beat all baselines", True),
    ],
)
def test_the_verdict_compares_with_the_best_baseline(ours, theirs, claim, warns, tmp_path):
    study = compared(ours, theirs)
    scores = f"ndcg@1 is {np.mean(ours):.4f}, and {np.mean(theirs):.4f} for the best baseline"
    assert study.verdict.startswith(f"{claim}: {scores}")
    assert study.beats_all is not warns
    write_report(study, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    box = next(a["class"] for _, a in page.elements if a.get("id") == "verdict")
    assert ("warning" in box) is warns
    assert "leaks" not in page.ids
    assert "training" not in page.ids, "a card without content is omitted"


def test_pooled_studies_hold_the_queries_of_all():
    first, second = compared([1, 0, 1, 1], [0] * 4), compared([0, 0, 1, 0], [1] * 4)
    pooled = Study.pooled([first, second])
    assert pooled.evaluation.metrics["hr@1"] == 0.5
    assert pooled.baselines["rival"].metrics["hr@1"] == 0.5
    assert pooled.evaluation.per_query["hr@1"].tolist() == [1, 0, 1, 1, 0, 0, 1, 0]
    assert len(np.unique(pooled.evaluation.users)) == 8
    assert pooled.evaluation.rankings.hits.shape == (8, 1)
    assert pooled.evaluation.queries == pooled.baselines["rival"].queries != first.evaluation.queries
    assert Study.pooled([first]) is first


def test_pooled_studies_have_the_same_baselines_and_metrics():
    first = compared([1, 0], [0, 1])
    rival = {"rival": first.baselines["rival"]}
    with pytest.raises(InputError, match=r"study 1 has the baselines rival; expected .* 0: rival, worse"):
        Study.pooled([first, dataclasses.replace(first, baselines=rival)])
    fewer = dataclasses.replace(first.evaluation, metrics={"hr@2": 1.0})
    with pytest.raises(InputError, match=r"study 1 has the metrics hr@2 of item2vec; expected .*hr@1"):
        Study.pooled([first, dataclasses.replace(first, evaluation=fewer)])


def vectors_of(n_items, seed=1):
    ids = Vocabulary(tuple(f"i{n}" for n in range(n_items)))
    random = np.random.default_rng(seed)
    return ItemVectors(ids, random.normal(size=(n_items, 4)), None, np.arange(n_items, 0, -1))


@pytest.mark.parametrize("n_items", [3, 40])
def test_the_map_leaves_out_items_without_an_input_vector(n_items):
    rows = vectors_of(n_items).input.copy()
    rows[1] = 0
    vectors = dataclasses.replace(vectors_of(n_items), input=rows, output=np.ones_like(rows))
    item_map = draw_map(vectors, None, seed=1)
    assert len(item_map.positions) == len(item_map.titles) == n_items - 1
    assert vectors.vocabulary.ids[1] not in item_map.titles
    assert np.isfinite(item_map.positions).all()


@pytest.mark.parametrize("n_items", [1, 2, 4, 5, 12])
def test_a_map_of_few_items(n_items):
    item_map = draw_map(vectors_of(n_items), None, seed=1)
    assert item_map.positions.shape == (n_items, 2)
    assert np.isfinite(item_map.positions).all()
    assert (item_map.attribute, item_map.names) == (None, [])
    plotly.graph_objects.Figure(figures.embedding_map(item_map))


@pytest.mark.parametrize(
    "numbers", [np.ones((40, 3)), np.ones((40, 1)), np.repeat([[1.0], [-1.0]], 20, axis=0)]
)
def test_a_map_of_equal_or_one_dimensional_vectors(numbers):
    positions = draw_map(dataclasses.replace(vectors_of(40), input=numbers), None, seed=1).positions
    assert np.isfinite(positions).all()
    assert len(np.unique(positions, axis=0)) > 20


def test_a_map_keeps_clusters_together():
    centres = np.repeat(np.eye(4), 15, axis=0)
    noise = np.random.default_rng(2).normal(scale=0.05, size=centres.shape)
    vectors = dataclasses.replace(vectors_of(60), input=centres + noise)
    positions = draw_map(vectors, None, seed=1).positions
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2) + np.eye(60) * 1e9
    assert np.array_equal(distance.argmin(axis=1) // 15, np.arange(60) // 15)


@pytest.mark.parametrize(
    ("attributes", "chosen", "names"),
    [
        (lambda n: {"even": n % 2, "three": [f"t{n % 3}", "x"], "own": str(n)}, "three", ["t0", "t1", "t2"]),
        (lambda n: {"own": str(n), "same": "x"}, None, []),
        (lambda n: {"rare": n % 2} if n < 9 else {}, None, []),
        (lambda n: {"many": n % 18}, "many", [*map(str, range(12)), None]),
        (lambda n: {"skewed": n if n > 34 else n % 2}, "skewed", ["0", "1", *map(str, range(35, 45)), None]),
    ],
)
def test_a_map_is_coloured_by_the_most_informative_attribute(attributes, chosen, names):
    items = Items.of({f"i{n}": attributes(n) for n in range(60)})
    item_map = draw_map(vectors_of(60), items, seed=1)
    assert (item_map.attribute, item_map.names) == (chosen, names)


def test_the_verdict_comes_first_and_the_best_values_are_marked(page, written, study):
    order = [a["id"] for _, a in page.elements if a.get("id") in SECTIONS]
    assert order[:3] == ["verdict", "leaks", "metrics"]
    assert page.text.index(study.verdict) < page.text.index("Metrics at k = 5")
    names = [*ACCURACY, *BEYOND_ACCURACY]
    marked = {}
    for model, cells in re.findall(ROW, written.read_text(), flags=re.DOTALL):
        marked.setdefault(model, []).extend("best" in cell for cell in re.findall("<td[^>]*>", cells))
    assert marked.keys() == study.evaluations.keys()
    for number, name in enumerate(names):
        values = {model: row.metrics[f"{name}@5"] for model, row in study.evaluations.items()}
        best = min if name == "gini" else max
        goal = min(values.values(), key=abs) if name == "popularity-bias" else best(values.values())
        assert {model: cells[number] for model, cells in marked.items()} == {
            model: value == goal for model, value in values.items()
        }
    rows = [a["class"] for a in page.all("tr") if a.get("class") == "baseline"]
    assert len(rows) == 2 * len(study.baselines)
    titles = {a["title"] for a in page.all("th") if "title" in a}
    assert len(titles) == len(names)
    assert all(title in page.text for title in titles), "each metric is explained in place"


def test_no_heading_is_a_repr(written):
    text = re.sub(r"<style>.*?</style>", "", written.read_text(), flags=re.DOTALL)
    for word in ("Split(", "Recommender(", "Sentences(", "('", "None"):
        assert word not in text.split('id="examples"')[0], word


def test_a_page_is_small(written):
    assert written.stat().st_size < 500_000
