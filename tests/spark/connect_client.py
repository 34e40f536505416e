"""Asks everything of a Connect server, as a user's process would: prints the answers as JSON."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "spark"))

import engines  # noqa: E402
import gazetteer  # noqa: E402
import oracle  # noqa: E402
import questions  # noqa: E402
import trailgate_spark  # noqa: E402


def main(archive, log_files):
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    told = {"session": type(spark).__module__, "views": {}, "reports": {}, "errors": {}}
    try:
        trailgate_spark.report(spark, "root_usage")
    except trailgate_spark.NoTable as error:
        told["errors"]["before"] = str(error)
    told["table"] = engines.ask_spark(trailgate_spark.table(spark, archive))
    spark.udf.register("country", gazetteer.country, "string")
    spark.udf.register("city", gazetteer.city, "string")
    for name in oracle.VIEWS:
        told["views"][name] = engines.ask_spark(spark.table(name))
    for name, asked in questions.QUESTIONS.items():
        told["reports"][name] = engines.ask_spark(trailgate_spark.report(spark, name, **asked[0]))
    told["by default"] = engines.ask_spark(trailgate_spark.report(spark, "root_usage"))
    told["logs"] = engines.ask_spark(trailgate_spark.log_files(spark, log_files))
    for name, path in {"no archive": log_files, "nothing": f"{archive}/nothing"}.items():
        try:
            trailgate_spark.table(spark, path)
        except trailgate_spark.NotAnArchive as error:
            told["errors"][name] = str(error)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
