"""The commands ``serve`` and ``explore`` as processes: the page, signals, workers, the browser."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from faults.child import HANGING
from shops import open_shop

from item2vec import Recommender, publish

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    model = open_shop(folder, n_items=200)
    publish(Recommender(model.vectors, items=model.items, decay=1.0), folder / "models")
    return folder


class Process:
    """A service in a process; its URL is the one that the command prints."""

    def __init__(self, folder, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "item2vec", *arguments, "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line)[0]
        while self.get("/readyz")[0] == 503:
            time.sleep(0.02)

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=HANGING) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
        return self.process.returncode


@pytest.fixture(scope="module")
def service(folder):
    service = Process(folder, "serve")
    yield service
    assert service.stop() == 0


def shell_blocks(page):
    return re.findall(
        r"^```shell\n(.*?)^```$", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE | re.DOTALL
    )


def test_the_requests_of_the_page_are_answered(service, folder):
    (block,) = [block for block in shell_blocks("serving.md") if "curl" in block]
    commands = [part for part in re.split(r"\n(?=curl|item2vec)", block) if part.startswith("curl")]
    assert len(commands) == 7
    for command in commands:
        own = command.replace("localhost:8000", service.url.removeprefix("http://"))
        done = subprocess.run(["bash", "-c", own], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert "status" not in answer, answer


def test_a_models_folder_alone_is_explored(folder):
    service = Process(folder, "explore")
    assert json.loads(service.get("/explorer/facts")[1])["has_store"] is False
    assert service.get("/v1/users/u42/recommendations")[0] == 422
    (item,) = json.loads(service.get("/v1/items?k=1")[1])["items"]
    assert service.get(f"/v1/items/{item['item']}/similar")[0] == 200
    assert service.stop() == 0


def test_workers_share_the_port_and_the_metrics(folder):
    service = Process(folder, "serve", "--workers", "2")
    answered = 0
    while answered < 20:  # a worker that is still loading answers 503
        answered += service.get("/v1/users/u42/recommendations")[0] == 200
    text = service.get("/metrics")[1].decode()
    count = re.search(r'item2vec_requests_total\{.*users.*status="200"\} (\d+)', text)
    assert float(count[1]) == 20
    assert service.stop() == 0


def test_an_address_in_use_is_an_error(service, folder):
    port = service.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "item2vec", "explore", "--port", port],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr


def head(method, path, *headers, body=b""):
    """Return the bytes of a request whose headers are exactly these."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(body, *headers, length=None):
    """Return the bytes of a request for recommendations."""
    length = f"Content-Length: {len(body) if length is None else length}"
    headers = headers if any("Content-Type" in line for line in headers) else (*headers, JSON)
    return head("POST", "/v1/recommendations", length, *headers, body=body)


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def chunked(*parts):
    return head("POST", "/v1/recommendations", JSON, "Transfer-Encoding: chunked", body=chunks(*parts))


JSON = "Content-Type: application/json"
VALID = b'{"history": ["909-steps"]}'
HOSTILE = {
    "a gzip bomb": (post(gzip.compress(b" " * (64 << 20)), "Content-Encoding: gzip"), {415}),
    "a gzip bomb without its header": (post(gzip.compress(b" " * (64 << 20))), {422}),
    "a body of 200 MB": (post(b" " * (1 << 20), length=200 << 20), {413}),
    "a chunked body of 80 MB": (chunked(*[b" " * (1 << 20)] * 80), {413}),
    "an invalid chunk": (chunked(VALID).replace(b"\r\n1a\r\n", b"\r\nzz\r\n"), {400}),
    "100,000 levels": (post(b'{"where":' * 100_000), {422}),
    "an integer of 5,000 digits": (post(b'{"history": [], "k": ' + b"9" * 5_000 + b"}"), {422}),
    "a repeated key": (post(b'{"history": ["a"], "history": ["b"]}'), {422}),
    "UTF-16": (post(VALID.decode().encode("utf-16")), {422}),
    "UTF-16, declared": (post(VALID, "Content-Type: application/json; charset=utf-16"), {415}),
    "invalid UTF-8": (post(b'{"user": "\xff\xfe"}'), {422}),
    "a length above the body": (post(VALID, length=len(VALID) + 10), {None, 400, 408}),
    "a length below the body": (post(VALID, length=len(VALID) - 5), {422}),
    "a negative length": (post(VALID, length=-1), {400}),
    "a length that is no number": (post(VALID, length="ten"), {400}),
    "a length of 5,000 digits": (post(VALID, length="9" * 5_000), {400, 413}),
    "two lengths": (post(VALID, "Content-Length: 7"), {400}),
    "a length and chunks": (post(chunks(VALID), "Transfer-Encoding: chunked"), {200, 400}),  # RFC 9112, 6.1
    "a path of 1 MB": (head("GET", "/v1/items/" + "x" * (1 << 20)), {400}),
    "a header of 8 MB": (head("GET", "/livez", "X-Long: " + "x" * (8 << 20)), {400}),
    "100,000 headers": (head("GET", "/livez", *(f"X-{n}: 1" for n in range(100_000))), {400}),
    "a NUL in a path": (head("GET", "/v1/items/a\0b"), {400, 404}),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10, {400}),
}
HOSTILE |= {
    f"{route}: {name}": (head("GET", route.format(name)), {404, 422})
    for name in (
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f%2e%2e%2fserver.py",
        "%00",
        "a%00b",
        "%ff",
    )
    for route in ("/explorer/{}", "/v1/versions/{}", "/v1/items/{}", "/v1/runs/{}")
}


def answered(service, request, *, is_ended=False):
    """Send bytes to a service, and return the status of its first answer, and the answer."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):  # the service may close it before all is sent
            connection.sendall(request)
            if is_ended:
                connection.shutdown(socket.SHUT_WR)
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                parts.append(part)
    answer = b"".join(parts)
    return (int(answer.split(b" ")[1]) if answer else None), answer


def peak(service):
    """Return the largest resident size of a service so far, in MB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def test_hostile_bytes_are_refused_within_bounded_memory(service):
    assert answered(service, post(VALID))[0] == 200
    before, unexpected = peak(service), {}
    for name, (request, statuses) in HOSTILE.items():
        status, answer = answered(service, request, is_ended="above" in name)
        if status not in statuses or b"Traceback" in answer or b"root:" in answer:
            unexpected[name] = status
    assert unexpected == {}
    assert peak(service) - before < 32
    assert answered(service, post(VALID))[0] == 200


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("REQUIRE_BROWSER"), reason="chromium is not installed"
)
def test_the_explorer_in_a_browser(service):
    """Each action; no error, no request to another host, no serious finding, no overflow at 360 pixels."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
        page.set_default_timeout(HANGING * 1000)
        expect.set_options(timeout=HANGING * 1000)
        problems, requests = [], []
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))

        def search(name, text):
            field = page.locator(f'[data-search="{name}"] input')
            field.fill(text)
            page.wait_for_selector(f'[data-search="{name}"] li')
            field.press("Enter")

        page.goto(service.url + "/")
        page.wait_for_selector("#results li")
        search("history", "909 stps")
        page.wait_for_selector('#history li:has-text("909 Steps")')
        page.wait_for_selector("#results .why")
        page.locator("#results button[aria-label^='Dislike']").first.press("Enter")
        page.wait_for_selector("#dislikes li")
        page.locator("#add-filter").press("Enter")
        page.locator("#filters select").first.select_option("genre")
        page.locator("#filters input").fill("techno")
        page.locator("#cap").fill("1")
        page.locator("#cap-attribute").select_option("artist")
        with page.expect_response(
            lambda answer: '"diversity":0.5' in (answer.request.post_data or "")
        ) as last:
            page.locator("#diversity").fill("0.5")
        items = last.value.json()["items"]
        expect(page.locator("#results li")).to_have_count(len(items))
        shown = [json.loads(service.get(f"/v1/items/{item['item']}")[1])["attributes"] for item in items]
        assert {song["genre"] for song in shown} == {"techno"}
        assert len({song["artist"] for song in shown}) == len(shown)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for view, name in (("similar", "similar"), ("analogy", "positive")):
            page.goto(f"{service.url}/#{view}")
            search(name, "909 steps")
            page.wait_for_selector(f"#{view}-results li")
        page.goto(service.url + "/#map")
        page.wait_for_selector('#map-status:has-text("items")')
        search("map", "909 steps")
        page.wait_for_selector('#map-status:has-text("near")')
        page.goto(service.url + "/#compare")
        page.wait_for_selector("#left option", state="attached")
        page.locator("#compare-user").fill("u42")
        page.locator("#compare-user").press("Enter")
        page.wait_for_selector('#compare-summary:has-text("both answers")')
        page.goto(service.url + "/#runs")
        page.wait_for_selector("#versions-table td")
        for view in ("recommend", "map", "compare", "runs"):
            page.goto(f"{service.url}/#{view}")
            violations = Axe().run(page).response["violations"]
            assert [v["id"] for v in violations if v["impact"] in {"serious", "critical"}] == []
        page.goto(service.url + "/docs")
        page.wait_for_selector("details")
        browser.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(service.url)] == []
