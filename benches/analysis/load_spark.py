"""Log files to Parquet by Spark, as docs/spark.md tells it; told as JSON.

    load_spark.py LOG_FILES TO CORES [small]
"""

import json
import sys
import tempfile
from pathlib import Path

from engines import spark_session
from measured import Measured


def main(log_files, to, cores, small=None):
    with tempfile.TemporaryDirectory() as scratch, spark_session(Path(scratch), int(cores), bool(small)) as spark:
        import trailgate_spark

        java = spark.sparkContext._gateway.proc.pid
        with Measured(java) as took:
            # as DuckDB: with no look at which events are there twice
            frame = trailgate_spark.log_files(spark, log_files, deduplicate=False)
            writer = frame.write.partitionBy("account_id", "region", "date")
            writer.option("compression", "zstd").parquet(to)
        told = took.told()
        rows = spark.read.parquet(to).count()
    print(json.dumps({"rows": rows, **told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
