"""Reports from the command line: `python -m trailgate_spark`, or by spark-submit.

Run as a script it needs the package beside it: spark-submit takes it by --py-files.
"""

import argparse
import csv
import json
import sys

from pyspark.sql import SparkSession

import trailgate_spark
from trailgate_spark.errors import brief, is_of_spark
from trailgate_spark.sql import find, usual

OUTPUTS = ("table", "csv", "json", "parquet")


def main(arguments=None):
    """Runs a report; returns the status to end with."""
    asked = _parser().parse_args(arguments)
    if asked.command == "reports":
        return _list()
    try:
        return _report(asked)
    except trailgate_spark.Error as error:
        print(f"error: {error}", file=sys.stderr)
    except Exception as error:
        if not is_of_spark(error):
            raise
        print(f"error: Spark says: {brief(error)}", file=sys.stderr)
    return 1


def _parser():
    parser = argparse.ArgumentParser(prog="trailgate_spark", description="Reports on CloudTrail events, by Spark.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reports", help="say which reports there are, and what they take")
    report = commands.add_parser("report", help="run a report")
    report.add_argument("name", help="which one")
    source = report.add_mutually_exclusive_group(required=True)
    source.add_argument("--archive", metavar="PATH", help="trailgate's archive")
    source.add_argument("--log-files", metavar="PATH", action="append", help="CloudTrail's log files, in place of one")
    report.add_argument("--skip-damaged", action="store_true", help="pass log files over that are not whole")
    report.add_argument(
        "-p", "--param", metavar="NAME=VALUE", action="append", default=[], help="a parameter, such as since=30d"
    )
    report.add_argument("-o", "--output", choices=OUTPUTS, default="table")
    report.add_argument("--to", metavar="PATH", help="a directory that Spark writes to; otherwise it is printed")
    report.add_argument("--geoip", metavar="FILE", help="a MaxMind DB file, for country(address) and city(address)")
    report.add_argument("--remote", metavar="URL", help="a Spark Connect server, such as sc://host:15002")
    return parser


def _list():
    for report in trailgate_spark.reports():
        print(f"{report.name}: {report.title}")
        for parameter in report.parameters:
            default = "needed" if parameter.default is None else f"default: {usual(parameter.default)}"
            values = f": {' or '.join(parameter.values)}" if parameter.values else ""
            print(f"    {parameter.name} ({parameter.type}{values}, {default}): {parameter.about}")
    return 0


def _report(asked):
    if asked.output == "parquet" and not asked.to:
        raise trailgate_spark.Error("parquet is not printed: say where to by --to PATH")
    if asked.output == "table" and asked.to:
        raise trailgate_spark.Error("a table is printed only: leave --to out, or say -o csv, json or parquet")
    given = dict(_pair(text) for text in asked.param)
    # before a session is waited for
    trailgate_spark.sql.check(find(asked.name), given)
    builder = SparkSession.builder.appName(f"trailgate {asked.name}")
    spark = (builder.remote(asked.remote) if asked.remote else builder).getOrCreate()
    # so that times are printed as they are compared
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    if asked.archive:
        trailgate_spark.table(spark, asked.archive)
    else:
        trailgate_spark.log_files(spark, asked.log_files, damaged="skip" if asked.skip_damaged else "fail")
    if asked.geoip:
        trailgate_spark.places(spark, asked.geoip)
    frame = trailgate_spark.report(spark, asked.name, **given)
    if asked.to:
        _write(frame, asked)
    else:
        _print(frame, asked.output)
    return 0


def _pair(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise trailgate_spark.BadParameter(f"{text!r} is no parameter: give NAME=VALUE, such as since=30d")
    return name, value


def _write(frame, asked):
    # one file: a report is for people, and its order is part of it
    writer = frame.coalesce(1).write
    if asked.output == "parquet":
        writer.parquet(asked.to)
    elif asked.output == "csv":
        guarded = frame.selectExpr(*map(_guarded, frame.schema)).coalesce(1).write
        guarded.option("header", "true").option("escape", '"').csv(asked.to)
    else:
        writer.option("ignoreNullFields", "false").json(asked.to)


def _print(frame, output):
    shown = frame.selectExpr(*map(_guarded if output == "csv" else _shown, frame.schema))
    names = frame.columns
    if output == "json":
        for row in shown.toLocalIterator():
            print(json.dumps(dict(zip(names, row)), ensure_ascii=False, default=_plain))
        return
    if output == "csv":
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(names)
        for row in shown.toLocalIterator():
            lines.writerow(["" if cell is None else _word(cell) for cell in row])
        return
    cells = [names] + [["-" if cell is None else _line(_word(cell)) for cell in row] for row in shown.collect()]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _shown(field):
    if field.dataType.simpleString() == "timestamp":
        day, time = (f"date_format(`{field.name}`, '{pattern}')" for pattern in ("yyyy-MM-dd", "HH:mm:ss"))
        return f"{day} || 'T' || {time} || 'Z' AS `{field.name}`"
    return f"`{field.name}`"


def _guarded(field):
    """As shown, and so that no spreadsheet takes for a formula what somebody had logged."""
    if field.dataType.simpleString() != "string":
        return _shown(field)
    # an apostrophe before each part that might be one: some begin a new cell at a semicolon or a tab within quotes
    # in no literal stands a quote or a backslash: what they mean there is the session's and the version's to say
    breaks, starts = "';' || chr(9) || chr(13) || chr(10)", "chr(39) || '=+@-'"
    pattern = f"'(^|[' || {breaks} || '])([' || {starts} || '])'"
    return f"regexp_replace(`{field.name}`, {pattern}, '$1' || chr(39) || '$2') AS `{field.name}`"


def _plain(cell):
    # days; times are texts by now
    return cell.isoformat()


def _word(cell):
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _line(text):
    # an event can say anything: nothing of it moves a terminal's cursor
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= 60 else shown[:59] + "\N{HORIZONTAL ELLIPSIS}"


if __name__ == "__main__":
    sys.exit(main())
