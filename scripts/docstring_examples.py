"""An extension of mkdocstrings that adds the missing heading "Examples" to docstrings with examples."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> ", flags=re.MULTILINE)


class DocstringExamples(griffe.Extension):
    """Insert the heading "Examples" before the first example of a docstring without this heading."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        text = obj.docstring.value if obj.docstring else ""
        first = EXAMPLE.search(text)
        if first and "Examples\n-----" not in text:
            obj.docstring.value = f"{text[: first.start()]}Examples\n--------\n{text[first.start() :]}"
