"""What the working process of a run does: ``python -m item2vec.retraining.work``.

The first line that it reads is the run's configuration, each further one a job; it answers with a line.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
import warnings
from typing import Any

from item2vec.config import RetrainConfig
from item2vec.errors import Item2VecError, LeakWarning

__all__: list[str] = []

JOBS = ("snapshot", "judge", "train", "write", "page")


def main() -> None:
    """Answer jobs until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    warnings.simplefilter("ignore", LeakWarning)  # what leaks stands in the report
    from item2vec.retraining.jobs import Jobs

    jobs = Jobs(RetrainConfig.model_validate_json(asked.get()))
    while True:
        name, arguments = json.loads(asked.get())
        assert name in JOBS
        answers.write(json.dumps(_answer(jobs, name, arguments)) + "\n")
        answers.flush()


def _listen(asked: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        asked.put(line)
    # Whoever asked is gone: what is being done is of no use to anybody.
    os._exit(1)


def _answer(jobs: Any, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"done": getattr(jobs, name)(**arguments)}
    except Item2VecError as error:
        return {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    except OSError as error:
        told = f"{error.filename or 'a file'}: {error.strerror}; nothing was published"
        return {"error": "WriteError", "message": told, "exit_code": 1}
    except MemoryError:
        told = f"{name!r} found no memory left; give it more, or train on fewer days"
        return {"error": "RunFailedError", "message": told, "exit_code": 1}
    except Exception as error:  # noqa: BLE001 - the one who asked must hear of it
        traceback.print_exc()
        told = f"{name!r} failed: {type(error).__name__}: {error}"
        return {"error": "RunFailedError", "message": told, "exit_code": 1}


if __name__ == "__main__":
    main()
