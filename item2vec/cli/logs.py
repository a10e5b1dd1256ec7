"""Logging to stderr: one line per record, with timestamp, level, logger, message and name=value pairs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from item2vec.cli.remedies import message_of
from item2vec.errors import Item2VecError, masked

__all__ = ["log_to_stderr"]


class _Lines(logging.Formatter):
    """Format each record as one line, with secrets masked.

    The entries of the record's mapping ``facts`` are appended as name=value pairs; entries with the value
    ``None`` are omitted. If an argument of the record is an ``Item2VecError``, its remedies are written as
    flags of the running command.
    """

    def format(self, record: logging.LogRecord) -> str:
        timestamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        if isinstance(record.args, tuple):
            record.args = tuple(
                message_of(value) if isinstance(value, Item2VecError) else value for value in record.args
            )
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        facts = getattr(record, "facts", {})
        words = [timestamp, record.levelname, record.name, _one_line(message)]
        line = " ".join(
            [*words, *(f"{name}={_value(value)}" for name, value in facts.items() if value is not None)]
        )
        return masked(line)


def log_to_stderr() -> None:
    """Log to stderr: level WARNING for other libraries, level INFO for this package."""
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
