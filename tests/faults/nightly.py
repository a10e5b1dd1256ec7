"""Nightly runs in separate processes, with injected faults: kill, stop, failing disk operations."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from itertools import count

import numpy as np
from faults import strace
from faults.child import ENVIRONMENT, HANGING
from faults.operations import litter, without_canary
from nights import TOML, changed, fill, made_listens

import item2vec
from item2vec import versions
from item2vec.adapters import histories
from item2vec.store import Store

SETTINGS = TOML + "versions = 2\n"  # in its last section, [retention]
KILLED = -signal.SIGKILL
# Exit codes that a fault may cause: promoted, any other error, data corrupt, durability unknown.
ENDS = {0, 1, 5, 6, KILLED}

# Prints a process id and waits for a line on stdin: before the run, and before the worker's first job.
RUN = """
import os
import sys
from faults.operations import act, at_operation
from item2vec.cli import main
from item2vec.retraining.supervisor import Worker
def wait(pid):
    print(pid, flush=True)
    sys.stdin.readline()
snapshot = Worker.snapshot
def wait_before_snapshot(self, *arguments):
    wait(self._process.pid)
    return snapshot(self, *arguments)
Worker.snapshot = wait_before_snapshot
models, store, seed, number, kind = sys.argv[1:]
wait(os.getpid())
if kind:
    seen = at_operation(int(number), act(kind), ever_after="ever" in kind)
try:
    main(["retrain", "--models", models, "--store", store, "--seed", seed])
finally:
    if kind:
        print(f"{seen[0]} operations", flush=True)
"""


# A traced canary writes its process id into the working directory, and waits until that file is removed.
# Other canaries succeed at once.
WAIT_FOR_STRACE = """
import os, sys, time
if 'item2vec.versions.canary' in sys.orig_argv:
    if not os.environ.get("TRACED_CANARY"):
        os._exit(0)
    with open("canary.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename("canary.tmp", "canary")
    while os.path.exists("canary"):
        time.sleep(0.005)
"""


class Run:
    """A retrain in a separate process; waits for ``begin``, and for ``end`` before the first job.

    With ``canary``, the canary waits for ``let_canary``.
    """

    def __init__(self, nights, seed, *, number=0, kind="", canary=False):
        words = [nights.models, nights.url, seed, number, kind]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by end()
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, words)],
            cwd=nights.folder,
            env=ENVIRONMENT
            | {"PYTHONPATH": f"{nights.folder}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
            | ({"TRACED_CANARY": "1"} if canary else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.folder, self.worker, self.watched = nights.folder, None, None
        self.pid = int(self.process.stdout.readline())

    def begin(self):
        """Continue until the worker waits; return False if the run ended before that."""
        self.resume()
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            return False
        self.worker = int(line)
        self.watched = os.pidfd_open(self.worker)
        return True

    def wait_for_canary(self):
        """Continue until the canary waits; return its process id, or ``None`` if the run ends before."""
        self.resume()
        while self.process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                return int((self.folder / "canary").read_text())
            time.sleep(0.005)
        return None

    def end(self):
        """Continue to the end; return the exit code, after the worker has ended too."""
        if self.worker is not None:
            self.resume()
        self.output, _ = self.process.communicate(timeout=HANGING)
        if self.watched is not None:
            gone = select.poll()
            gone.register(self.watched, select.POLLIN)
            outlives = not gone.poll(HANGING * 1000)
            if outlives:
                signal.pidfd_send_signal(self.watched, signal.SIGKILL)
            os.close(self.watched)
            assert not outlives, "the worker outlives the run"
        self.errors.seek(0)
        self.stderr = self.errors.read()
        self.errors.close()
        return self.process.returncode

    @property
    def operations(self):
        """Number of operations counted in the parent process."""
        return int(re.search(r"(\d+) operations", self.output)[1])

    def resume(self):
        """Let the process continue until it waits again."""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass


class Nights:
    """A store, a models folder, and the models served from it after each run.

    With ``canary``, runs of which the canary is traced start one, and calls that read a file are traced, too.
    """

    def __init__(self, folder, *, canary=False):
        self.folder = folder
        self.models, self.store = folder / "served" / "models", folder / "item2vec.db"
        self.models.parent.mkdir()
        listens = made_listens()
        self.url = fill(f"sqlite:///{self.store}", listens)
        item2vec.publish(item2vec.fit(histories(listens), changed(seed=9).model), self.models)
        if canary:
            (folder / "sitecustomize.py").write_text(WAIT_FOR_STRACE)
        else:
            without_canary(folder)
        self.calls = f"{strace.CALLS},{strace.READS}" if canary else strace.CALLS
        (folder / "item2vec.toml").write_text(SETTINGS)
        self.models_by_seed, self.generations = {}, set()
        self.traces, self.numbers = {}, count()

    def served(self):
        """Load the served model and check that it is unchanged since it was first seen; return its seed."""
        model = item2vec.load(self.models)
        seed = model.vectors.config.seed
        parts = (model.vectors.input, model.vectors.output, model.recommend(["g0 s0 é", "g3 s7 é"], k=9))
        expected = self.models_by_seed.setdefault(seed, tuple(map(np.copy, parts[:2])) + parts[2:])
        assert all(np.array_equal(part, copy) for part, copy in zip(parts, expected, strict=True))
        self.generations.add(versions.served_version(self.models).generation)
        return seed

    def run(self, *options, of=(), seed=None, **operation):
        """Retrain, with strace attached to the parent, the worker or the canary; return the exit code."""
        seed = int(self.served() != 1) if seed is None else seed
        run = self.last = Run(self, seed, canary="canary" in of, **operation)
        tracers = []

        def attach(name, pid):
            if name in of:
                self.traces[name] = self.folder / "served" / f"trace of {name} {next(self.numbers)}"
                tracers.append(strace.attach(pid, self.traces[name], *options, calls=self.calls))

        try:
            attach("parent", run.pid)
            if run.begin():
                attach("worker", run.worker)
                if "canary" in of and (canary := run.wait_for_canary()) is not None:
                    attach("canary", canary)
                    (self.folder / "canary").unlink()
            ended = run.end()
            for tracer in tracers:
                tracer.communicate(timeout=HANGING)
        finally:
            for process in (run.process, *tracers):
                process.kill()
        return ended

    def with_fault(self, where, *options, **how):
        """Retrain with a fault; check that the served model agrees with the exit code, and return that."""
        before = self.served()
        code = self.run(*options, **how)
        after = self.served()
        message = f"{where}: exit code {code}\n{self.last.stderr[-3000:]}"
        assert code in ENDS, message
        # If every later operation fails, the run cannot find out what is served.
        promoted = {0} if "ever" in how.get("kind", "") else {0, 6}
        assert code not in promoted or after != before, f"the old model is served: {message}"
        assert code not in {1, 5} or after == before, f"the new model is served: {message}"
        return code

    def recover(self):
        """Retrain without a fault; check that the earlier faults have left nothing behind."""
        assert self.with_fault("no fault") == 0, self.last.stderr
        live = versions.served_version(self.models)
        kept = {version.id for version in versions.list_versions(self.models)}
        assert kept == {live.id, live.previous}
        strays = [path for path in (self.models / "runs").iterdir() if path.suffix != ".json"]
        assert litter(self.models) + strays == []
        with Store(self.url) as store:
            assert "running" not in {run.status for run in store.runs(limit=10_000)}
            recorded = {promotion.generation for promotion in store.promotions(limit=10_000)}
        assert self.generations <= recorded
        self.served()
