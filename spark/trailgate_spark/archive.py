"""The archive as a table: which of its files count is read from its Delta log.

The log is read by Spark's own readers, so that whatever Spark can reach can be an
archive, with no Delta library and over Spark Connect too.
"""

import datetime
import json
import re
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql.types import StructType

from . import sql
from .errors import DamagedArchive, NewerArchive, NotAnArchive, brief, condition, is_of_spark
from .reports import views as register_views

PARTITIONS = ("account_id", "region", "date")

# what this package knows of Delta's protocol
READER_VERSION = 1

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
_CHECKPOINT_V2 = re.compile(r"(\d{20})\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)")

_CHECKPOINT_SCHEMA = (
    "protocol struct<minReaderVersion: int>, "
    "metaData struct<schemaString: string, partitionColumns: array<string>>, "
    "add struct<path: string, partitionValues: map<string, string>>"
)


@dataclass(frozen=True)
class Snapshot:
    """What counts at one version: paths relative to the root, with their partitions' values."""

    version: int
    schema: StructType
    files: dict[str, dict[str, str | None]]


def table(spark, path, *, accounts=None, regions=None, since=None, until=None):
    """Registers `cloudtrail` and the five views over the archive at `path`; returns `cloudtrail`.

    It is the newest version's: what is committed later is seen by calling this again.
    `accounts`, `regions`, `since` and `until` (dates, both included) leave partitions
    out from the start, which a query's own conditions do as well: with a hundred
    thousand files and more this saves Spark looking at each.
    """
    root = str(path).rstrip("/")
    found = snapshot(spark, root)
    wanted = _wanted(accounts, regions, since, until)
    files = {file: at for file, at in found.files.items() if wanted(at)}
    try:
        frame = _frame(spark, root, found.schema, files)
        # asks for the analysis, which Connect puts off
        frame.schema  # noqa: B018
    except AnalysisException as error:
        if condition(error) != "PATH_NOT_FOUND":
            raise
        raise DamagedArchive(
            f"a file of version {found.version} is not there ({brief(error)}): if the archive was compacted "
            "meanwhile, call table again; otherwise the file is lost, and trailgate has to archive its days again"
        ) from error
    frame.createOrReplaceTempView("cloudtrail")
    register_views(spark)
    return frame


def _frame(spark, root, schema, files):
    """The rows of these files, with what the log says of their partitions."""
    plain = []
    odd = {}
    for file, at in files.items():
        if at == _told_by_path(file):
            plain.append(f"{root}/{file}")
        else:
            # a value that is too long for a directory's name, or not of ASCII
            place = file if "://" in file else f"{root}/{file}"
            odd.setdefault(tuple(at.get(name) for name in PARTITIONS), []).append(place)
    frames = []
    if plain:
        frames.append(spark.read.schema(schema).option("basePath", root).parquet(*plain))
    data = StructType([field for field in schema if field.name not in PARTITIONS])
    for values, places in odd.items():
        told = [
            f"CAST({_literal(value)} AS {schema[name].dataType.simpleString()}) AS {name}"
            for name, value in zip(PARTITIONS, values)
        ]
        columns = [f"`{field.name}`" for field in data]
        # without a base path of their own the directories' names would be columns too
        reader = spark.read.schema(data).option("recursiveFileLookup", "true")
        frames.append(reader.parquet(*places).selectExpr(*columns, *told).select(*schema.names))
    if not frames:
        return spark.createDataFrame([], schema)
    frame = frames[0]
    for other in frames[1:]:
        frame = frame.unionByName(other)
    return frame


def _told_by_path(file):
    """The partitions' values as Spark reads the directories' names: an escape is one character to it, not one byte."""
    told = {}
    for segment in file.split("/")[:-1]:
        name, equals, value = segment.partition("=")
        if equals:
            told[name] = None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value, "latin-1")
    return told


def _literal(value):
    if value is None:
        return "NULL"
    # what quotes and backslashes mean is a setting of the session's
    return f"decode(unhex('{value.encode().hex()}'), 'UTF-8')"


def snapshot(spark, path):
    """The newest version of the archive at `path`."""
    root = str(path).rstrip("/")
    log = f"{root}/_delta_log"
    commits, checkpoint = _listed(spark, root, log)
    files = {}
    state = {"protocol": None, "metaData": None}
    if checkpoint is not None:
        _read_checkpoint(spark, log, checkpoint, files, state)
    _read_commits(spark, log, commits, files, state)
    version = commits[-1] if commits else checkpoint[0]
    _check_protocol(root, state["protocol"])
    if state["metaData"] is None:
        raise DamagedArchive(
            f"the log of {root} has no metaData up to version {version}: "
            "restore _delta_log from a copy; nothing was changed"
        )
    return Snapshot(version, _schema(root, state["metaData"]), files)


def _listed(spark, root, log):
    """The commits after the newest whole checkpoint, and that checkpoint's version and files."""
    try:
        rows = spark.read.format("binaryFile").load(log).select("path").collect()
    except PySparkException as error:
        if condition(error) != "PATH_NOT_FOUND":
            raise
        raise NotAnArchive(f"{root} has no _delta_log: give the root of an archive, the directory above it") from error
    names = [row.path.rsplit("/", 1)[-1] for row in rows]
    versions = sorted({int(match[1]) for match in map(_COMMIT.fullmatch, names) if match})
    checkpoint = _newest_checkpoint(names)
    if checkpoint is None and any(map(_CHECKPOINT_V2.fullmatch, names)) and versions[:1] != [0]:
        raise NewerArchive(
            f"the log of {root} has checkpoints of a newer kind (v2) alone: use a newer trailgate_spark, "
            "or read the table by the Delta library"
        )
    first = 0 if checkpoint is None else checkpoint[0] + 1
    commits = [version for version in versions if version >= first]
    if not commits and checkpoint is None:
        raise NotAnArchive(f"the log of {root} has no commit: nothing was archived there yet, or it is another directory")
    for wanted, version in enumerate(commits, first):
        if version != wanted:
            raise DamagedArchive(
                f"the log of {root} lacks version {wanted}, though it has version {version}: "
                "restore the file from a copy; nothing was changed"
            )
    return commits, checkpoint


def _newest_checkpoint(names):
    parts = {}
    for match in map(_CHECKPOINT.fullmatch, names):
        if match:
            key = (int(match[1]), int(match[3] or 1))
            parts.setdefault(key, []).append(match[0])
    whole = [(version, sorted(files)) for (version, count), files in parts.items() if len(files) == count]
    return max(whole, default=None)


def _read_checkpoint(spark, log, checkpoint, files, state):
    version, names = checkpoint
    try:
        rows = (
            spark.read.schema(_CHECKPOINT_SCHEMA)
            .parquet(*(f"{log}/{name}" for name in names))
            .selectExpr(
                "protocol.minReaderVersion AS reader",
                "metaData.schemaString AS schema",
                "metaData.partitionColumns AS partitions",
                "add.path AS path",
                "add.partitionValues AS at",
            )
            .collect()
        )
    except Exception as error:
        if not is_of_spark(error):
            raise
        raise DamagedArchive(
            f"the checkpoint of version {version} in {log} cannot be read ({brief(error)}): take it away if the "
            "commits up to it are there, or restore it from a copy"
        ) from error
    for row in rows:
        if row.reader is not None:
            state["protocol"] = row.reader
        if row.schema is not None:
            state["metaData"] = (row.schema, row.partitions)
        if row.path is not None:
            files[unquote(row.path)] = row["at"]


def _read_commits(spark, log, commits, files, state):
    if not commits:
        return
    paths = [f"{log}/{version:020}.json" for version in commits]
    rows = spark.read.text(paths).select("value", "_metadata.file_name").collect()
    lines = {}
    for row in rows:
        if row.value.strip():
            lines.setdefault(int(row.file_name[:20]), []).append(row.value)
    for version in commits:
        if version not in lines:
            raise DamagedArchive(
                f"version {version} in {log} is empty: restore {version:020}.json from a copy; nothing was changed"
            )
        try:
            for line in lines[version]:
                _apply(json.loads(line), files, state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedArchive(
                f"version {version} in {log} is not what a commit is ({type(error).__name__}: {error}): "
                f"restore {version:020}.json from a copy; nothing was changed"
            ) from error


def _apply(action, files, state):
    if "protocol" in action:
        state["protocol"] = int(action["protocol"]["minReaderVersion"])
    elif "metaData" in action:
        state["metaData"] = (action["metaData"]["schemaString"], action["metaData"]["partitionColumns"])
    elif "add" in action:
        files[unquote(action["add"]["path"])] = dict(action["add"]["partitionValues"])
    elif "remove" in action:
        files.pop(unquote(action["remove"]["path"]), None)
    # anything else says nothing of which files count


def _check_protocol(root, reader):
    if reader is None:
        raise DamagedArchive(f"the log of {root} has no protocol: restore _delta_log from a copy; nothing was changed")
    if reader > READER_VERSION:
        raise NewerArchive(
            f"the archive at {root} wants reader version {reader} and this is {READER_VERSION}: "
            "use a newer trailgate_spark, or read the table by the Delta library"
        )


def _schema(root, metadata):
    """The table's own schema, which may have more columns than this package knows, and no fewer."""
    text, partitions = metadata
    try:
        schema = StructType.fromJson(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, PySparkException) as error:
        raise DamagedArchive(f"the schema in the log of {root} cannot be read ({error}): restore _delta_log") from error
    known = StructType.fromJson(sql.schema())
    types = {field.name: field.dataType.simpleString() for field in schema}
    missing = [field.name for field in known if field.name not in types]
    if missing or tuple(partitions) != PARTITIONS:
        raise NotAnArchive(
            f"{root} is a table, and none of trailgate's: "
            + (f"it has no column {', '.join(missing)}" if missing else f"its partitions are {', '.join(partitions)}")
        )
    for field in known:
        if types[field.name] != field.dataType.simpleString():
            raise NewerArchive(
                f"column {field.name} of {root} is {types[field.name]} and not {field.dataType.simpleString()}: "
                "use a newer trailgate_spark"
            )
    return schema


def _wanted(accounts, regions, since, until):
    first, last = _day("since", since), _day("until", until)
    accounts = None if accounts is None else _names("accounts", accounts)
    regions = None if regions is None else _names("regions", regions)

    def wanted(at):
        day = at.get("date") or ""
        return (
            (accounts is None or at.get("account_id") in accounts)
            and (regions is None or at.get("region") in regions)
            and (first is None or day >= first)
            and (last is None or day <= last)
        )

    return wanted


def _names(name, given):
    if isinstance(given, str):
        raise TypeError(f"{name} is a list of names, such as [{given!r}]")
    return frozenset(given)


def _day(name, given):
    if given is None:
        return None
    if isinstance(given, datetime.datetime):
        return given.date().isoformat()
    if isinstance(given, datetime.date):
        return given.isoformat()
    try:
        return datetime.date.fromisoformat(given).isoformat()
    except (TypeError, ValueError):
        raise TypeError(f"{name} cannot be {given!r}: it is a date, such as 2026-01-31") from None
