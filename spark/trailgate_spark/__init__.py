"""Spark SQL on trailgate's archive of CloudTrail events, and on CloudTrail's log files.

    table(spark, path)          the archive, as the table cloudtrail and five views
    log_files(spark, path)      the same of log files, where there is no archive
    report(spark, name, ...)    a report on either
    reports()                   which reports there are
    places(spark, database)     the functions country(address) and city(address)

It speaks to Spark by SQL and DataFrames alone, so that it is the same on a classic
session and on Spark Connect.
"""

from .archive import Snapshot, snapshot, table
from .errors import (
    BadParameter,
    DamagedArchive,
    Error,
    NewerArchive,
    NoTable,
    NotAnArchive,
    UnknownReport,
)
from .logfiles import log_files
from .places import places
from .reports import report, reports, views
from .sql import Parameter, Report

__version__ = "0.1.0"

__all__ = [
    "BadParameter",
    "DamagedArchive",
    "Error",
    "NewerArchive",
    "NoTable",
    "NotAnArchive",
    "Parameter",
    "Report",
    "Snapshot",
    "UnknownReport",
    "log_files",
    "places",
    "report",
    "reports",
    "snapshot",
    "table",
    "views",
]
