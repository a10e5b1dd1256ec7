"""Threads of libraries in the tests. ``conftest.py`` imports this module before NumPy loads OpenBLAS."""

import os

# Workers share the cores: idle threads of FAISS and OpenBLAS sleep, and do not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
# Two threads of OpenBLAS in a worker would wait for each other while other workers use the cores.
# .ci/run gives one per processor to the slow tests and the property tests.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
