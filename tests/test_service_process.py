"""The commands ``serve`` and ``explore`` as processes: the page, workers, the port, addresses of clients."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from faults.child import HANGING
from services import Process, wait_for

ROOT = Path(__file__).parent.parent


def shell_blocks(page):
    return re.findall(
        r"^```shell\n(.*?)^```$", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE | re.DOTALL
    )


@pytest.mark.slow
def test_the_requests_of_the_page_are_answered(service, served):
    (block,) = [block for block in shell_blocks("serving.md") if "curl" in block]
    commands = [part for part in re.split(r"\n(?=curl|item2vec)", block) if part.startswith("curl")]
    assert len(commands) == 7
    for command in commands:
        own = command.replace("localhost:8000", service.url.removeprefix("http://"))
        done = subprocess.run(["bash", "-c", own], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert "status" not in answer, answer


@pytest.mark.slow
def test_a_models_folder_alone_is_explored(served):
    service = Process(served, "explore")
    assert json.loads(service.get("/explorer/facts")[1])["has_store"] is False
    assert service.get("/v1/users/u42/recommendations")[0] == 422
    (item,) = json.loads(service.get("/v1/items?k=1")[1])["items"]
    assert service.get(f"/v1/items/{item['item']}/similar")[0] == 200
    assert service.stop() == 0


@pytest.mark.slow
def test_workers_share_the_port_and_the_metrics(served):
    service = Process(served, "serve", "--workers", "2")
    answered = 0
    while answered < 20:  # a worker that is still loading answers 503
        answered += service.get("/v1/users/u42/recommendations")[0] == 200
    text = service.get("/metrics")[1].decode()
    count = re.search(r'item2vec_requests_total\{.*users.*status="200"\} (\d+)', text)
    assert float(count[1]) == 20
    assert service.stop() == 0


@pytest.mark.slow
def test_the_metrics_are_those_of_living_workers(served, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    service = Process(served, "serve", "--workers", "2")

    def workers():
        """Return the process ids of two workers that have metrics, or ``None``."""
        files = tmp_path.glob("item2vec-metrics-*/gauge_livesum_*.db")
        found = {int(path.stem.rpartition("_")[2]) for path in files}
        return found if len(found) == 2 else None

    def are_ready():
        return all(service.get("/readyz")[0] == 200 for _ in range(20))

    first = wait_for(workers)
    wait_for(are_ready)
    generation = json.loads(service.get("/readyz")[1])["generation"]
    for _ in range(10):
        text = service.get("/metrics")[1].decode()
        assert re.findall(r"^item2vec_model_generation (\S+)$", text, re.MULTILINE) == [f"{generation:.1f}"]
        (loaded,) = re.findall(r"^item2vec_model_loaded_timestamp_seconds (\S+)$", text, re.MULTILINE)
        assert float(loaded) > 0
    os.kill(min(first), signal.SIGKILL)
    wait_for(lambda: (found := workers()) and min(first) not in found)
    assert service.stop() == 0


@pytest.mark.slow
def test_workers_whose_parent_was_killed_end_and_free_the_port(served, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    service = Process(served, "serve", "--workers", "2")
    host, port = service.url.removeprefix("http://").split(":")
    service.process.kill()
    service.stop()

    def is_free():
        with socket.socket() as client:
            return client.connect_ex((host, int(port))) != 0

    wait_for(is_free)


@pytest.mark.slow
@pytest.mark.parametrize(("proxies", "are_limited"), [(None, True), ("127.0.0.1", False)])
def test_the_header_of_a_proxy_that_is_not_trusted_does_not_evade_the_rate(
    served, monkeypatch, proxies, are_limited
):
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if proxies is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxies)
    service = Process(served, "serve", "--rate", "0.001")

    def status(address):
        request = urllib.request.Request(service.url + "/docs", headers={"X-Forwarded-For": address})
        try:
            with urllib.request.urlopen(request, timeout=HANGING) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert {status(f"192.0.2.{n}") for n in range(5)} == ({429} if are_limited else {200})
    assert service.stop() == 0


@pytest.mark.slow
def test_an_address_in_use_is_an_error(service, served):
    port = service.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "item2vec", "explore", "--port", port],
        cwd=served,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr
