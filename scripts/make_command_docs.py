"""Generate docs/commands.md from the commands and the settings. A test checks that the page is up to date."""

import json
from pathlib import Path

from item2vec.cli.app import tree
from item2vec.cli.parameters import MODEL_SETTINGS
from item2vec.config import AdapterSection, IngestConfig, RetrainConfig, TasteConfig

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
HEAD = """# Commands

Results are printed to stdout as text, or as JSON with `--json`. Logs and progress bars are printed to stderr.
Settings are read from flags, `ITEM2VEC_*` environment variables and `item2vec.toml` in the current folder, in
this order of precedence. Unknown names are errors.

All commands have these exit codes. [retraining.md](retraining.md#logs-and-exit-codes) describes the exit
codes of `retrain` in detail.

| exit code | meaning |
|---|---|
| 0 | success |
| 2 | invalid configuration or input |
| 3 | a gate failed, or a hold (promotion freeze after a rollback) is active |
| 4 | nothing to train |
| 5 | corrupt data or bundle |
| 6 | published, but durability unknown |
| 75 | another run holds the lock |
| 130 | Ctrl-C |
| 1 | any other error, including SIGTERM and a closed pipe as stdout |

## item2vec.toml

```toml
models = "models"
store = "sqlite:///item2vec.db"
index = "auto"

[train]
vector_size = 64
epochs = 20

[taste]
score = "output"
decay = 0.5

[adapter]
kind = "sessions"
gap = "2h"

[gates]
min_queries = 200

[ingest]
user = "customer"
item = "product"
timestamp = "ordered_at"
```

`index` and the keys of `[train]` and `[taste]` are the [settings of the model](#settings-of-the-model), and
the keys of `[ingest]` are the flags of [ingest](#item2vec-ingest) that describe interactions. The keys of the
other sections are the settings of nightly runs, described in [retraining.md](retraining.md); `[adapter]` also
applies to `train`, `evaluate` and `tune` on the store. Three more top-level keys are `metrics_file`, which
sets the flag `--metrics-file` of [retrain](#item2vec-retrain); `layout`: with `layout = false`, `train` and
`retrain` store no layout for [maps](maps.md#layouts); and `checkpoint`, the folder of the
[checkpoint](retraining.md#checkpoint) of nightly runs.
"""
SETTINGS_HEAD = """## Settings of the model

`train`, `evaluate`, `tune` and `retrain` have these options. Each option is also an environment variable and
a key of `item2vec.toml`: `--vector-size 64`, `ITEM2VEC_VECTOR_SIZE=64`, and `vector_size = 64` in `[train]`.
`tune` does not read these keys: it starts from the built-in defaults, and an option or a variable fixes a
setting.
"""


def cell(text):
    """Escape text for a cell of a Markdown table."""
    return " ".join((text or "").replace("|", "\\|").split())


def name_of(parameter):
    is_flag = any(name.startswith("-") for name in parameter.opts)
    return "`, `".join([*parameter.opts, *parameter.secondary_opts]) if is_flag else parameter.metavar


def table(parameters):
    """Return the lines of a Markdown table of parameters."""
    lines = ["| parameter | variable | meaning |", "|---|---|---|"]
    for parameter in parameters:
        meaning = cell(getattr(parameter, "help", None))
        if parameter.default not in (None, False) and not callable(parameter.default):
            meaning += f" Default: `{parameter.default}`."
        variable = f"`{parameter.envvar}`" if parameter.envvar else ""
        lines.append(f"| `{name_of(parameter)}` | {variable} | {meaning} |")
    return lines


def section(words, command, all_settings):
    text, _, example = (command.help or "").partition("Example: ")
    lines = [f"## {words}", "", *(line.strip() for line in text.strip().splitlines()), "", "```console"]
    lines += [example.strip(), "```", ""]
    own = [p for p in command.params if p.name != "help" and p.name not in MODEL_SETTINGS]
    lines += table(own)
    if len(own) < len(command.params) - 1:
        has = {parameter.name for parameter in command.params}
        missing = [f"`{name_of(setting)}`" for name, setting in all_settings.items() if name not in has]
        but = f", except {', '.join(missing)}" if missing else ""
        lines += ["", f"Also all [settings of the model](#settings-of-the-model){but}."]
    return "\n".join(lines) + "\n"


def settings_section(all_settings):
    lines = [SETTINGS_HEAD, "| option | section | meaning |", "|---|---|---|"]
    for name, setting in all_settings.items():
        key = "" if name == "index" else "`[taste]`" if name in TasteConfig.model_fields else "`[train]`"
        lines.append(f"| `{name_of(setting)}` | {key} | {cell(setting.help)} |")
    return "\n".join(lines) + "\n"


def section_keys():
    """Return the Markdown table of the item2vec.toml settings of nightly runs and of ingest."""
    lines = ["| section | key | meaning |", "|---|---|---|"]
    fields = {name: field.annotation for name, field in RetrainConfig.model_fields.items()}
    no_sections = {"model", "corpus", "layout", "checkpoint"}
    sections = {name: kind for name, kind in fields.items() if name not in no_sections}
    sections["adapter"] = AdapterSection
    for name, settings in {**sections, "ingest": IngestConfig}.items():
        for key, setting in settings.model_fields.items():
            default = "" if setting.default is None else f" Default: `{json.dumps(setting.default)}`."
            lines.append(f"| `[{name}]` | `{key}` | {cell(setting.description)}{default} |")
    return "\n".join(lines) + "\n"


def page():
    commands = {
        words: command
        for words, command in tree()
        if not hasattr(command, "commands") or command.invoke_without_command
    }
    parameters = {p.name: p for command in commands.values() for p in command.params}
    settings = {name: parameters[name] for name in MODEL_SETTINGS if name in parameters}
    sections = [section(words, command, settings) for words, command in commands.items()]
    return "\n".join([HEAD, section_keys(), settings_section(settings), *sections])


if __name__ == "__main__":
    PAGE.write_text(page())
