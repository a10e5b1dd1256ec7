"""Commands, run as ``item2vec`` runs them, in an empty folder."""

import sys

import pytest

from item2vec.cli import main


@pytest.fixture
def item2vec(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["item2vec", *words])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
