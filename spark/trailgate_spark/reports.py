"""Reports and views on the table `cloudtrail` of a session."""

import datetime

from . import sql
from .errors import NoTable


def views(spark):
    """Registers the five views over the session's table `cloudtrail`."""
    for name in sql.VIEWS:
        spark.sql(sql.view(name)).createOrReplaceTempView(name)


def reports():
    """The reports that there are: name, title, what it is about, parameters."""
    return list(sql.reports().values())


def report(spark, name, **parameters):
    """A report over what `table` or `log_files` registered, as a DataFrame.

    Times are datetimes (without a zone: UTC), dates, timedeltas before now, or text
    such as 2026-01-31, 2026-01-31T12:00:00Z or 7d.
    """
    wanted = sql.find(name)
    now = datetime.datetime.now(sql.UTC)
    values = sql.check(wanted, parameters, now)
    if not spark.catalog.tableExists("principal_activity"):
        raise NoTable("there is no view principal_activity: call table(spark, path) or log_files(spark, path) first")
    for function in wanted.functions:
        if not spark.catalog.functionExists(function):
            raise NoTable(
                f"report {name} needs the function {function}(address): "
                "call places(spark, database) with a GeoIP database first, or register one"
            )
    return spark.sql(wanted.sql, args=sql.complete(wanted, values, now))

