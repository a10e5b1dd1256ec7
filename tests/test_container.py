"""The files of scripts/container, as far as they can be checked without a container."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from test_docs import commands

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "scripts" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "item2vec"}


def in_dockerfile(instruction):
    return re.findall(rf"^{instruction} (.*)$", DOCKERFILE, flags=re.MULTILINE)


def check_command(words):
    """Check that a command and its flags exist."""
    known = commands()
    named = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known)
    flags = {flag for parameter in known[named].params for flag in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= flags


def test_the_image_runs_as_a_user_without_privileges_and_is_not_bound_to_a_processor():
    assert in_dockerfile("USER")[-1] == "10001"
    (flags,) = re.findall(r'ANNOY_COMPILER_ARGS="(.*)"', DOCKERFILE)
    assert "native" not in flags
    assert DOCKERFILE.index("ANNOY_COMPILER_ARGS") < DOCKERFILE.index("pip install")
    assert "/livez" in DOCKERFILE[DOCKERFILE.index("HEALTHCHECK") :]


def test_copied_files_exist_and_are_in_the_context():
    admitted = [
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    copied = [name for line in in_dockerfile("COPY") if "--from" not in line for name in line.split()[:-1]]
    copied = [name for name in copied if not name.startswith("--")]
    assert sorted(copied) == sorted(admitted)
    assert all((ROOT / name).exists() for name in copied)


def test_commands_exist():
    check_command(json.loads(in_dockerfile("CMD")[-1]))
    for service in OURS.values():
        check_command(service["command"])


def test_a_run_finds_the_records_of_killed_runs():
    """``Store.close_interrupted_runs`` closes the runs of a host. docker draws a name for each container."""
    assert COMPOSE["services"]["retrain"]["hostname"] == "retrain"


def test_secrets_and_volumes_are_declared_and_not_in_the_environment():
    assert set(OURS) == {"schema", "service", "retrain"}
    for service in COMPOSE["services"].values():
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])
        assert all(key.endswith("_FILE") for key in service["environment"] if "PASSWORD" in key)
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
    for secret in COMPOSE["secrets"].values():
        ignored = subprocess.run(
            ["git", "check-ignore", "-q", FOLDER / secret["file"]], cwd=ROOT, check=False
        ).returncode
        assert ignored == 0 or not (ROOT / ".git").exists()


@pytest.mark.parametrize(
    ("password", "written"),
    [("s3cret\n", "*:*:*:*:s3cret\n"), ("a:b\\c&d", "*:*:*:*:a\\:b\\\\c&d")],
)
def test_the_entrypoint_passes_the_password_in_a_private_file(tmp_path, password, written):
    (tmp_path / "item2vec").write_text('#!/bin/sh\numask\necho "$@"\n')
    (tmp_path / "item2vec").chmod(0o755)
    (tmp_path / "secret").write_text(password)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "secret"),
        "PGPASSFILE": str(tmp_path / "pgpass"),
    }
    done = subprocess.run(
        [FOLDER / "entrypoint", "models", "list"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        umask=0o022,
    )
    assert done.stdout.splitlines() == ["0022", "models list"]
    assert (tmp_path / "pgpass").read_text().rstrip("\n") == written.rstrip("\n")
    assert (tmp_path / "pgpass").stat().st_mode & 0o777 == 0o600


def test_without_a_password_nothing_is_written(tmp_path):
    (tmp_path / "item2vec").write_text("#!/bin/sh\n")
    (tmp_path / "item2vec").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PGPASSFILE": str(tmp_path / "pgpass")}
    subprocess.run([FOLDER / "entrypoint"], env=environment, check=True)
    assert not (tmp_path / "pgpass").exists()
