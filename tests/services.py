"""A service in a process, and a browser, for all tests of a session."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from shops import open_shop

from item2vec import Recommender, publish

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


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
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
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


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Return a folder with a store and two versions of a model."""
    folder = tmp_path_factory.mktemp("served")
    model = open_shop(folder, n_items=200)
    publish(Recommender(model.vectors, items=model.items, decay=1.0), folder / "models")
    return folder


@pytest.fixture(scope="session")
def service(served):
    service = Process(served, "serve")
    yield service
    assert service.stop() == 0


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None and not os.environ.get("REQUIRE_BROWSER"):
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
