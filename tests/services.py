"""A service in a process for all tests of a session, and checks of answers."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.child import HANGING
from shops import open_shop
from starlette.testclient import TestClient

from item2vec import Recommender, publish

ROOT = Path(__file__).parent.parent


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


def wait_until_ready(client, **headers):
    while client.get("/readyz", headers=headers).status_code == 503:
        time.sleep(0.01)


def wait_for(found, state=lambda: "nothing was found"):
    """Wait until ``found`` returns a true value, and return it. If it never does, raise ``state()``."""
    for _ in range(HANGING * 20):
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{state()} after {HANGING} s")


def wait_for_answer(client, path, is_expected):
    """Wait until ``is_expected`` is true of the JSON of the answer."""

    def answer():
        return client.get(path).json()

    wait_for(lambda: is_expected(answer()), lambda: f"the answer of {path} is still {answer()}")


def wait_until_whole(client, path):
    """Wait until the answer no longer lacks an unavailable part, such as the store."""
    wait_for_answer(client, path, lambda answer: "degraded" not in answer)


@contextmanager
def ready_client(app):
    """Run an application, and yield a client when a model is loaded."""
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["item"] for item in answer.json()["items"]]


def is_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()
    assert answer.json()["status"] == status
    for secret in (str(Path(__file__).parent), "/tmp", "SELECT", "Traceback", ".py"):
        assert secret not in answer.text
    return answer.json()
