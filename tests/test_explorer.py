"""The explorer in a browser: each action, by mouse and by keyboard."""

import json
import os
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from faults.child import HANGING

from item2vec.store.runs import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None and not os.environ.get("REQUIRE_BROWSER"):
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Explorer:
    """A page of the explorer that waits for elements only while the page or the service is at work."""

    ROUND, ROUNDS = 5, 12  # seconds, and rounds in which the page is idle
    ACTIONS = 60  # seconds for an action on an element that is shown

    def __init__(self, browser, width, height):
        from playwright.sync_api import expect

        self.page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        self.page.set_default_timeout(self.ACTIONS * 1000)
        self.page.set_default_navigation_timeout(HANGING * 1000)
        expect.set_options(timeout=self.ACTIONS * 1000)
        self.requests, self.n_finished = [], 0
        self.page.on("request", lambda request: self.requests.append(request.url))
        for event in ("requestfinished", "requestfailed"):
            self.page.on(event, self._finish)

    def _finish(self, _):
        self.n_finished += 1

    def shown(self, selector, **options):
        """Wait for an element, until there was no request for a minute."""
        from playwright.sync_api import TimeoutError as NotShown

        n_idle = 0
        while True:
            before = len(self.requests), self.n_finished
            try:
                return self.page.wait_for_selector(selector, timeout=self.ROUND * 1000, **options)
            except NotShown:
                self.page.evaluate("0")  # waits for the scripts of the page
                after = len(self.requests), self.n_finished
                n_idle = n_idle + 1 if after == before and before[0] == before[1] else 0
                if n_idle == self.ROUNDS:
                    raise


def opened(service, browser):
    """Return the explorer with the view Recommend, as soon as it shows recommendations."""
    explorer = Explorer(browser, 1100, 800)
    explorer.page.goto(service.url + "/")
    explorer.shown("#results li")
    return explorer


@pytest.mark.slow
def test_an_element_that_is_missing_is_an_error_once_the_page_is_idle(service, browser, monkeypatch):
    from playwright.sync_api import TimeoutError as NotShown

    explorer = Explorer(browser, 360, 740)
    explorer.page.goto(service.url + "/docs")
    explorer.shown("details")
    monkeypatch.setattr(Explorer, "ROUND", 0.2)
    monkeypatch.setattr(Explorer, "ROUNDS", 2)
    with pytest.raises(NotShown):
        explorer.shown("#no-such-element")


@pytest.mark.slow
def test_the_explorer_in_a_browser(service, browser):
    """Each action; no error, no request to another host, no serious finding, no overflow at 360 pixels."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect

    explorer = Explorer(browser, 360, 740)
    page, shown, problems = explorer.page, explorer.shown, []
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))

    def search(name, text):
        field = page.locator(f'[data-search="{name}"] input')
        field.fill(text)
        shown(f'[data-search="{name}"] li')
        field.press("Enter")

    page.goto(service.url + "/")
    shown("#results li")
    search("history", "909 stps")
    shown('#history li:has-text("909 Steps")')
    shown("#results .why")
    page.locator("#results button[aria-label^='Dislike']").first.press("Enter")
    shown("#dislikes li")
    page.locator("#add-filter").press("Enter")
    page.locator("#filters select").first.select_option("genre")
    page.locator("#filters input").fill("techno")
    page.locator("#cap").fill("1")
    page.locator("#cap-attribute").select_option("artist")
    with page.expect_response(lambda answer: '"diversity":0.5' in (answer.request.post_data or "")) as last:
        page.locator("#diversity").fill("0.5")
    items = last.value.json()["items"]
    expect(page.locator("#results li")).to_have_count(len(items))
    songs = [json.loads(service.get(f"/v1/items/{item['item']}")[1])["attributes"] for item in items]
    assert {song["genre"] for song in songs} == {"techno"}
    assert len({song["artist"] for song in songs}) == len(songs)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for view, name in (("similar", "similar"), ("analogy", "positive")):
        page.goto(f"{service.url}/#{view}")
        search(name, "909 steps")
        shown(f"#{view}-results li")
    page.goto(service.url + "/#map")
    shown('#map-status:has-text("items")')
    shown("#map-legend li i")
    page.locator("#map-colour").select_option("year")
    shown("#map-legend .scale")
    search("map", "awkward at parties")
    shown('#map-status:has-text("near")')
    page.goto(service.url + "/#compare")
    shown("#left option", state="attached")
    page.locator("#compare-user").fill("u42")
    page.locator("#compare-user").press("Enter")
    shown('#compare-summary:has-text("both answers")')
    page.goto(service.url + "/#runs")
    shown("#versions-table td")
    for view in ("recommend", "map", "compare", "runs"):
        page.goto(f"{service.url}/#{view}")
        violations = Axe().run(page).response["violations"]
        assert [v["id"] for v in violations if v["impact"] in {"serious", "critical"}] == []
    page.goto(service.url + "/docs")
    shown("details")
    assert problems == []
    assert [url for url in explorer.requests if not url.startswith(service.url)] == []


@pytest.mark.slow
def test_the_commands_of_the_description_are_valid_requests(service, browser):
    explorer = Explorer(browser, 1280, 900)
    explorer.page.goto(service.url + "/docs")
    explorer.shown("details")
    commands = explorer.page.locator("pre").all_text_contents()
    found = {}
    for words in map(shlex.split, commands):
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        (url,) = [word for word in words if word.startswith("http")]
        body = json.loads(words[-1]) if "-d" in words else None
        found[method, url.removeprefix(service.url)] = body
    assert found["POST", "/v1/events"] == {"events": [{"user": "ID", "item": "ID"}]}
    assert found["PUT", "/v1/items"] == {"item": "ID"}
    assert ("DELETE", "/v1/items?item=ID") in found
    for command in commands:
        if not re.search("PUT|DELETE|/v1/events", command):  # these would change the store of other tests
            done = subprocess.run(
                ["bash", "-c", f"{command} -s -o /dev/null -w '%{{http_code}}'"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout in {"200", "404"}, command
    assert not any("KEY" in command for command in commands)
    rows = explorer.page.locator("tr").filter(has=explorer.page.locator("td", has_text=re.compile("^boost$")))
    assert set(rows.locator("td:nth-child(3)").all_text_contents()) == {"object or list of list of any"}


RUN = Run(
    id=1,
    started_at=datetime(2024, 1, 1, tzinfo=UTC),
    finished_at=datetime(2024, 1, 1, 1, tzinfo=UTC),
    status="promoted",
    version="g0000000001-5f",
    reason="forced",
    config={},
    gates={"beats_popularity": {"passed": False}},
    metrics={"ndcg@10": 0.5},
)


def test_each_column_of_a_run_has_a_value(service, browser):
    explorer = Explorer(browser, 1100, 800)
    explorer.page.route("**/v1/runs?*", lambda route: route.fulfill(json={"runs": [RUN.as_json()]}))
    explorer.page.goto(service.url + "/#runs")
    explorer.shown("#runs-table td")
    table = explorer.page.locator("#runs-table")
    cells = table.locator("tbody tr").first.locator("td").all_text_contents()
    assert len(cells) == table.locator("thead th").count()
    assert all(cells), cells


CONDITIONS = """async (values) => {
    const { state } = await import("/explorer/state.js");
    const { rules } = await import("/explorer/recommend.js");
    state.facts.attributes = [{ name: "live", kind: "boolean", values: [false, true] }];
    document.querySelector("#add-filter").click();
    const field = document.querySelector("#filters input");
    return values.map((text) => ((field.value = text), rules().where?.live["=="] ?? null));
}"""


def test_a_filter_of_a_boolean_is_true_or_false_or_ignored(service, browser):
    explorer = opened(service, browser)
    values = {"true": True, " TRUE": True, "False": False, "yes": None, "": None, "toString": None}
    assert explorer.page.evaluate(CONDITIONS, [*values]) == [*values.values()]


FOCUS = """() => {
    const own = document.activeElement, style = getComputedStyle(own), box = own.getBoundingClientRect();
    const inside = box.bottom > 0 && box.top < innerHeight && box.width > 0;
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    return own === document.body || (outlined && inside);
}"""
STOPS = "a[href], button, input, select, summary, canvas, [tabindex='0']"
TAB_STOPS = f"""() => [...document.querySelectorAll("{STOPS}")]
    .filter((own) => own.offsetParent && !own.disabled && own.tabIndex >= 0).length"""


def tab_to(page, selector):
    """Press Tab until an element is focused. Each focused element on the way is visible, with an outline."""
    for _ in range(120):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS), page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab does not reach {selector}")


def open_view(explorer, name):
    page = explorer.page
    page.evaluate("document.activeElement.blur()")
    tab_to(page, f'nav a[href="#{name}"]')
    page.keyboard.press("Enter")
    explorer.shown(f"#view-{name}:not([hidden])")


def type_and_choose(explorer, name, text):
    """Search, move through the items found with the arrow keys, and choose one."""
    page = explorer.page
    tab_to(page, f'[data-search="{name}"] input')
    page.keyboard.type(text)
    explorer.shown(f'[data-search="{name}"] li[aria-selected="true"]')
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")


@pytest.mark.slow
def test_the_explorer_by_keyboard_alone(service, browser):
    from playwright.sync_api import expect

    explorer = Explorer(browser, 1100, 800)
    page, shown = explorer.page, explorer.shown
    page.goto(service.url + "/")
    shown("#results li")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips the header
    expect(page.locator("#content")).to_be_focused()
    type_and_choose(explorer, "history", "909 stps")
    shown("#results .why")
    page.keyboard.type("blue")
    shown('[data-search="history"] li')
    page.keyboard.press("Escape")
    expect(page.locator('[data-search="history"] ul')).to_be_hidden()
    tab_to(page, "#diversity")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#diversity-value")).to_have_text("0.1")
    tab_to(page, "#add-filter")
    page.keyboard.press("Enter")
    page.keyboard.type("x")  # the value of the new filter is focused
    expect(page.locator("#filters input")).to_have_value("x")
    tab_to(page, "#filters button")
    page.keyboard.press("Enter")
    expect(page.locator("#add-filter")).to_be_focused()
    shown("#results li")
    tab_to(page, "#results button[aria-label^='Dislike']")
    page.keyboard.press("Enter")
    shown("#dislikes li")
    page.wait_for_function("document.activeElement.closest('#results')")  # the focus stays in the list
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "#history button")
    page.keyboard.press("Enter")
    expect(page.locator("#history")).to_be_focused()  # the list is empty
    open_view(explorer, "map")
    shown('#map-status:has-text("items")')
    type_and_choose(explorer, "map", "awkward at parties")
    shown('#map-status:has-text("near")')
    tab_to(page, "#map-canvas")
    before = page.locator("#map-canvas").screenshot()
    for key in ("+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_timeout(50)
    assert page.locator("#map-canvas").screenshot() != before
    page.keyboard.press("Tab")
    expect(page.locator("#map-canvas")).not_to_be_focused()
    open_view(explorer, "compare")
    shown("#left option", state="attached")
    tab_to(page, "#compare-user")
    page.keyboard.type("u42")
    page.keyboard.press("Enter")
    shown('#compare-summary:has-text("both answers")')
    for view in ("recommend", "similar", "analogy", "map", "compare", "runs"):
        open_view(explorer, view)
        page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(page.evaluate(TAB_STOPS)):
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUS), (view, page.evaluate("document.activeElement.outerHTML"))
            reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        assert len(reached) == page.evaluate(TAB_STOPS), view


@pytest.mark.slow
def test_errors_stay_until_their_request_succeeds(service, browser):
    explorer = Explorer(browser, 1100, 800)
    page = explorer.page
    page.route("**/v1/similar", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.goto(service.url + "/#similar")
    field = page.locator('[data-search="similar"] input')
    field.fill("909 steps")
    field.press("Enter")  # before the list of items is shown
    explorer.shown("#item-facts h3")
    explorer.shown('#error:has-text("502")')
    assert not page.locator("#similar-results li").count()
    page.unroute("**/v1/similar")
    field.fill("blue harbour")
    field.press("Enter")
    explorer.shown('#item-facts h3:has-text("Blue Harbour")')
    explorer.shown("#similar-results li")
    assert page.locator("#error").is_hidden()


@pytest.mark.slow
def test_enter_chooses_by_the_current_text_and_a_chip_is_removed_alone(service, browser):
    explorer = opened(service, browser)
    page = explorer.page
    field = page.locator('[data-search="history"] input')
    field.fill("blue harb")
    explorer.shown('[data-search="history"] li[aria-selected="true"]')
    field.fill("909 steps")
    field.press("Enter")
    explorer.shown('#history li:has-text("909 Steps")')
    page.evaluate(REPEAT)
    page.locator("#history button").first.click()
    assert page.locator("#history li").count() == 1


REPEAT = """async () => {
    const { changed, state } = await import("/explorer/state.js");
    state.history = [...state.history, { ...state.history[0] }];
    changed();
}"""


@pytest.mark.slow
def test_the_rules_follow_another_attribute_at_once(service, browser):
    explorer = opened(service, browser)
    page = explorer.page
    page.locator("#add-filter").click()
    name, operator = page.locator("#filters select").all()
    name.select_option("artist")
    operator.select_option("!=")
    page.locator("#filters input").fill("19")
    with page.expect_request(lambda sent: "year" in (sent.post_data or "")) as sent:
        name.select_option("year")
    assert sent.value.post_data_json["where"] == {"year": {"!=": 19}}
    assert operator.input_value() == "!="


@pytest.mark.slow
def test_the_page_recovers_when_a_model_arrives(service, browser):
    explorer = Explorer(browser, 390, 800)
    page = explorer.page
    page.route(
        "**/explorer/facts", lambda route: route.fulfill(status=503, json={"detail": "no model is loaded"})
    )
    page.goto(service.url + "/#runs")
    explorer.shown('#version:has-text("no model yet")')
    explorer.shown("#runs-table")
    page.locator('nav a[href="#compare"]').click()
    explorer.shown("#view-compare:not([hidden])")
    page.unroute("**/explorer/facts")
    explorer.shown('#version:has-text("items")')
    page.locator('nav a[href="#recommend"]').click()
    explorer.shown("#results li")
    assert page.locator("#error").is_hidden()
