"""Writes docs/commands.md from the commands themselves; the tests compare the two."""

import json
from pathlib import Path

import typer

from item2vec.cli import app
from item2vec.config import RetrainConfig

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
HEAD = """# Commands

Results go to stdout, as a table or with `--json` as JSON; logs and progress to stderr. Settings come from
flags, then `ITEM2VEC_*` variables, then `item2vec.toml` in the current folder; an unknown name in any of them
is an error.

| exit code | means |
|---|---|
| 0 | done |
| 2 | bad configuration or input |
| 3 | a gate refused the new model |
| 4 | nothing to train |
| 5 | data or bundle corrupt |
| 6 | published, durability unknown |
| 75 | another run holds the lock |
| 1 | anything else |

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
```

The keys of `[train]` and `[taste]` are the settings of the model, with `_` for `-`, as below at
`item2vec train`. The others are those of nightly runs: [retraining.md](retraining.md).
"""


def commands(words, command):
    children = getattr(command, "commands", {})
    if not children:
        yield words, command
    for name, child in children.items():
        yield from commands(f"{words} {name}", child)


def section(words, command):
    text, _, example = (command.help or "").partition("Example: ")
    lines = [f"## {words}", "", *(line.strip() for line in text.strip().splitlines()), "", "```console"]
    lines += [example.strip(), "```", "", "| parameter | variable | meaning |", "|---|---|---|"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_flag = any(name.startswith("-") for name in parameter.opts)
        name = "`, `".join([*parameter.opts, *parameter.secondary_opts]) if is_flag else parameter.metavar
        meaning = (getattr(parameter, "help", None) or "").replace("|", "\\|")
        if parameter.default not in (None, False) and not callable(parameter.default):
            meaning += f" Default: `{parameter.default}`."
        lines.append(f"| `{name}` | {f'`{parameter.envvar}`' if parameter.envvar else ''} | {meaning} |")
    return "\n".join(lines) + "\n"


def keys():
    """The sections of item2vec.toml that are not the model's."""
    lines = ["| section | key | meaning |", "|---|---|---|"]
    for section, field in RetrainConfig.model_fields.items():
        for name, key in field.annotation.model_fields.items() if section != "model" else ():
            meaning = " ".join((key.description or "").replace("|", "\\|").split())
            shown = "" if key.default is None else f" Default: `{json.dumps(key.default)}`."
            lines.append(f"| `[{section}]` | `{name}` | {meaning}{shown} |")
    return "\n".join(lines) + "\n"


def page():
    found = commands("item2vec", typer.main.get_command(app))
    return "\n".join([HEAD, keys(), *(section(words, command) for words, command in found)])


if __name__ == "__main__":
    PAGE.write_text(page())
