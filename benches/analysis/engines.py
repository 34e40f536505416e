"""The engines, each with the archive's files as the table `cloudtrail`: what answers is an Arrow table."""

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import adbc_driver_flightsql.dbapi
import duckdb
import pyarrow as pa
from deltalake import DeltaTable

ROOT = Path(__file__).resolve().parents[2]

# seconds for a server to listen
PATIENCE = 60


def bare_environment():
    """What a process sees that has nothing of this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TRAILGATE_"))}
    return kept | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class Server:
    """`trailgate serve` over an archive, which asks AWS for nothing."""

    def __init__(self, binary, archive, *args):
        self._said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [
                binary, "serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                "--account", "111122223333", "--region", "us-east-1", "--archive", archive,
                "--poll", "off", "--aws-endpoint-url", "http://127.0.0.1:9", *map(str, args),
            ],
            env=bare_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said, text=True,
        )
        lines = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True).start()
        try:
            line = lines.get(timeout=PATIENCE)
            self.target = re.match(r"listening on grpc://(\S+)", line).group(1)
        except (queue.Empty, AttributeError):
            self.stop()
            raise SystemExit(f"the server does not listen: {self.said()}") from None

    def said(self):
        """What it said of what went wrong."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-2000:]

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@contextlib.contextmanager
def in_process(example, archive, threads):
    """trailgate's engine in a process that reads its answers and keeps none: how many rows each has."""
    process = subprocess.Popen(
        [example, archive, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )

    def ask(text):
        process.stdin.write(" ".join(text.split()) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["rows"]

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(PATIENCE)


@contextlib.contextmanager
def trailgate(server):
    """A server's answers, by ADBC's Flight SQL driver."""
    with adbc_driver_flightsql.dbapi.connect(f"grpc://{server.target}", autocommit=True) as connection:

        def ask(text):
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetch_arrow_table()

        yield ask


@contextlib.contextmanager
def duck(archive, threads):
    """DuckDB, on the files that the archive's log names; what it can keep of files, it keeps."""
    files = DeltaTable(str(archive)).file_uris()
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute(f"""
            CREATE VIEW cloudtrail AS SELECT * FROM read_parquet({files}, hive_partitioning = true,
                hive_types = {{account_id: VARCHAR, region: VARCHAR, date: DATE}})""")

        def ask(text):
            return connection.sql(text).to_arrow_table()

        yield ask


@contextlib.contextmanager
def spark_session(scratch, cores, is_small=False):
    """Spark in local mode on so many cores, with what it does if it is not told otherwise; or, for few records,
    without compiling what is run too seldom to pay."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    sys.path.insert(0, str(ROOT / "spark"))
    quick = {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("trailgate's benchmark")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "4g",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        # its default of 200 is for clusters
        "spark.sql.shuffle.partitions": str(cores),
        "spark.log.level": "ERROR",
        **(quick if is_small else {}),
    }.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


@contextlib.contextmanager
def spark_archive(spark, archive):
    """Spark on the archive."""
    import trailgate_spark

    trailgate_spark.table(spark, str(archive))
    yield lambda text: spark.sql(text).toArrow()


def same_types(table):
    """Texts as texts: engines have several types of them."""
    fields = [pa.field(field.name, _plain(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def _plain(kind):
    return pa.string() if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) else kind
