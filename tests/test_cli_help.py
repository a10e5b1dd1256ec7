"""``--help`` and docs/commands.md: summaries are not truncated, and no option is missing."""

import re
import runpy
from pathlib import Path

import pytest

from item2vec.cli.app import tree
from item2vec.cli.parameters import MODEL_SETTINGS

ROOT = Path(__file__).parent.parent
GROUPS = {words: command for words, command in tree() if hasattr(command, "commands")}
COMMANDS = {words: command for words, command in tree() if words not in GROUPS}
PAGE = (ROOT / "docs" / "commands.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


def summary(command):
    """Return the first paragraph of a help text on one line."""
    return " ".join(command.help.split("\n\n")[0].split())


@pytest.mark.parametrize("words", GROUPS)
def test_each_summary_fits_on_its_line_of_80_columns(item2vec, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = item2vec(*words.split()[1:], "--help")
    lines = [line.split(maxsplit=1) for line in out.partition("Commands:\n")[2].splitlines()]
    assert code == 0
    assert lines == [[name, summary(child)] for name, child in GROUPS[words].commands.items()]


def test_a_summary_is_one_sentence():
    for words, command in {**GROUPS, **COMMANDS}.items():
        assert re.fullmatch(r"[A-Z][^.]*\.", summary(command)), words


def test_the_reference_describes_each_setting_of_the_model_once():
    # ``recommend --popularity`` is a rule of a request, ``serve --workers`` a number of processes, and
    # ``walks --seed`` the seed of no training.
    others = {f"item2vec {name}" for name in ("recommend", "similar", "analogy", "serve", "walks")}
    page = "".join(section for words, section in SECTIONS.items() if words not in others)
    for name in MODEL_SETTINGS:
        rows = re.findall(rf"^\| `--{name.replace('_', '-')}`", page, flags=re.MULTILINE)
        assert len(rows) == (name != "patience"), name


@pytest.mark.parametrize("words", COMMANDS)
def test_the_reference_has_every_parameter_of_a_command(words):
    section = SECTIONS[words]
    refers_to_settings = "[settings of the model](#settings-of-the-model)" in section
    for parameter in COMMANDS[words].params:
        if parameter.name != "help":
            is_setting = parameter.name in MODEL_SETTINGS
            assert refers_to_settings or not is_setting
            label = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar
            assert f"| `{label}`" in (SECTIONS["Settings of the model"] if is_setting else section)


def test_the_settings_that_tune_does_not_have_are_excepted():
    assert "settings of the model](#settings-of-the-model), except `--index`." in SECTIONS["item2vec tune"]


def test_the_script_makes_the_same_page_each_time():
    made = runpy.run_path(str(ROOT / "scripts" / "make_command_docs.py"))
    assert made["page"]() == made["page"]() == PAGE
