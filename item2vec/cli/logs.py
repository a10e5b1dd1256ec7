"""Logs: one line each on stderr, for people and for programs: moment, level, event, then name=value."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

__all__ = ["log_to_stderr"]


class _Lines(logging.Formatter):
    """Writes a record, and the mapping ``facts`` that it may carry, as one line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = record.getMessage()
        if record.exc_info:
            told += "\n" + self.formatException(record.exc_info)
        facts = getattr(record, "facts", {})
        words = [moment, record.levelname, record.name, _one_line(told)]
        return " ".join(
            [*words, *(f"{name}={_value(value)}" for name, value in facts.items() if value is not None)]
        )


def log_to_stderr() -> None:
    """Send warnings of all libraries, and news of ours, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("item2vec").setLevel(logging.INFO)


def _value(value: Any) -> str:
    text = str(value)
    plain = text and text.isprintable() and not set(text) & set(' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")
