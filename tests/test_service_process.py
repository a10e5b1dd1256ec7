"""The commands ``serve`` and ``explore`` as processes: the page, workers, the port."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from services import Process

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
