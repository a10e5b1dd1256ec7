"""Main loop of the worker process: ``python -m item2vec.retraining.worker_main``.

The first line on standard input is the configuration of the run. Every further line is a ``Request``. For
each request the process writes one line to standard output: ``Done`` or ``Failed``. The process exits when
standard input is closed.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, get_args

from item2vec.config import RetrainConfig
from item2vec.errors import Item2VecError, LeakWarning, masked, reason_of
from item2vec.retraining.messages import Done, Failed, JobName, Request

if TYPE_CHECKING:
    from item2vec.retraining.jobs import Jobs

__all__: list[str] = []


def main() -> None:
    """Execute requests until standard input is closed."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to stderr: stdout carries the replies only
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    warnings.simplefilter("ignore", LeakWarning)  # the report lists all leaks
    from item2vec.retraining.jobs import Jobs

    jobs = Jobs(RetrainConfig.model_validate_json(lines.get()))
    while True:
        replies.write(json.dumps(_execute(jobs, json.loads(lines.get()))) + "\n")
        replies.flush()


def _read_lines(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    # Standard input is closed: the parent process has ended, so nobody would receive a result.
    os._exit(1)


def _execute(jobs: Jobs, request: Request) -> Done | Failed:
    job = request["job"]
    assert job in get_args(JobName)
    try:
        return {"result": getattr(jobs, job)(**request["arguments"])}
    except Item2VecError as error:
        return {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    except OSError as error:
        file = error.filename or "a file"
        message = (
            f"job {job!r} could not read or write {file}: {reason_of(error)}; check the disk and the "
            "permissions"
        )
        return {"error": "WriteError", "message": message, "exit_code": 1}
    except MemoryError:
        message = (
            f"job {job!r} ran out of memory; add memory, or train on less data: set days in [adapter], or "
            "prepare a smaller corpus"
        )
        return {"error": "RunFailedError", "message": message, "exit_code": 1}
    except Exception as error:  # noqa: BLE001 - the parent process raises RunFailedError
        sys.stderr.write(masked(traceback.format_exc()))
        message = f"job {job!r} failed: {type(error).__name__}: {error}; see the traceback above"
        return {"error": "RunFailedError", "message": message, "exit_code": 1}


if __name__ == "__main__":
    main()
