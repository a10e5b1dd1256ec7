"""A Spark session with two executors, which are other processes, for the tests of ``item2vec.spark``."""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.log.level": "OFF",
    "spark.task.maxFailures": "2",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def missing():
    """Return a reason why Spark cannot be started, or ``None``."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed"
    return None if shutil.which("java") else "java is not on the PATH"


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A session without network and without a home folder. Its processes end with it."""
    if reason := missing():
        if os.environ.get("REQUIRE_SPARK"):
            pytest.fail(f"{reason}, and REQUIRE_SPARK requires it", pytrace=False)
        pytest.skip(reason)
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    for name in ("home", "conf", "local", "work"):
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("SPARK_HOME", raising=False)
        for name, value in {
            "HOME": folder / "home",
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData",  # starts sooner
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests"))),
            "SPARK_CONF_DIR": folder / "conf",
            "SPARK_LOCAL_DIRS": folder / "local",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_WORKER_DIR": folder / "work",
        }.items():
            patched.setenv(name, str(value))
        builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("tests")
        session = builder.config(map=SETTINGS).getOrCreate()
        gateway = SparkContext._gateway
        yield session
        session.stop()
        SparkContext._gateway = SparkContext._jvm = None
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=60)


@dataclass(frozen=True)
class DiesOnce:
    """A task whose process ends by itself at the first execution, after its results were computed."""

    task: object
    marker: Path

    @property
    def schema(self):
        return self.task.schema

    def __call__(self, batches):
        results = list(self.task(batches))
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            yield from results
        else:
            os._exit(1)
