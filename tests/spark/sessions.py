"""Spark for the tests: one JVM, which is a classic session and a Connect server at once."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def classic(directory):
    """A classic session on two cores, with a Connect server on loopback: yields it and the server's URL."""
    from pyspark.sql import SparkSession

    # functions in Python run by this very one
    os.environ["PYSPARK_PYTHON"] = sys.executable
    port = free_port()
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.local.dir": str(directory),
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        "spark.sql.shuffle.partitions": "1",
        # many small files: listed without a job, and read by few tasks
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
        "spark.sql.files.openCostInBytes": "1024",
        "spark.sql.files.minPartitionNum": "2",
        # a zone of its own: nothing may hang on what a session is set to
        "spark.sql.session.timeZone": "America/St_Johns",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        # tables are tiny: what is compiled is run too seldom to pay
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master("local[2]").appName("trailgate tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark, f"sc://127.0.0.1:{port}"
    finally:
        spark.stop()


class Client:
    """A process of its own that knows Spark by a Connect server alone: see connect_client.py."""

    def __init__(self, url, archive, log_files):
        self.answers = tempfile.TemporaryFile("w+")
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "connect_client.py"), str(archive), str(log_files)],
            stdout=self.answers,
            stderr=self.log,
            # no JVM is to be started there, whatever this process was given
            env={name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
            | {"SPARK_REMOTE": url, "JAVA_HOME": "/nonexistent"},
        )

    def wait(self):
        status = self.process.wait(timeout=500)
        self.log.seek(0)
        assert status == 0, self.log.read()
        self.answers.seek(0)
        return json.load(self.answers)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
