"""CloudTrail's log files as the same table, where there is no archive.

A file is read as one JSON text whose `Records` are texts: nothing is inferred, so that
records may have whatever members they like. Spark hands out each record exactly as it
stands in the file; what is made of it by `from_json` afterwards is Spark's own spelling.
"""

from pyspark.errors import AnalysisException
from pyspark.sql.types import StructType

from . import sql
from .errors import Error, condition
from .reports import views as register_views

_TEXTS = (
    "eventVersion",
    "eventType",
    "eventCategory",
    "awsRegion",
    "recipientAccountId",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestID",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "tlsDetails",
    "sharedEventID",
    "vpcEndpointId",
    "apiVersion",
)

# a trail's keys end so; the time is when the file was begun to be written
_NAME_TIME = "_([0-9]{8}T[0-9]{4})Z_"
_KEY = "/([0-9]{12})/CloudTrail[A-Za-z-]*/([a-z0-9-]+)/[0-9]{4}/[0-9]{2}/[0-9]{2}/"

_TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})"
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def log_files(spark, path, *, damaged="fail", deduplicate=True):
    """Registers `cloudtrail` and the five views over log files; returns `cloudtrail`.

    `path` is a directory, a pattern, a file, or a list of them; what is in directories
    below counts. `damaged`: a file that is not whole makes a query fail, or with "skip"
    is left out. Events that several files have come once, unless `deduplicate` is False,
    which saves a shuffle of every record.
    """
    if damaged not in ("fail", "skip"):
        raise Error(f'damaged cannot be {damaged!r}: it is "fail" or "skip"')
    paths = [str(path)] if isinstance(path, str) or not hasattr(path, "__iter__") else [str(each) for each in path]
    reader = (
        spark.read.schema("Records array<string>")
        .option("recursiveFileLookup", "true")
        # no JSON text has it: the whole file is one. Only so, and not with multiLine, does Spark give texts as they stand
        .option("lineSep", "\0")
        .option("mode", "FAILFAST" if damaged == "fail" else "PERMISSIVE")
        .option("ignoreCorruptFiles", "false" if damaged == "fail" else "true")
    )
    try:
        files = reader.json(paths)
        files.schema  # noqa: B018
    except AnalysisException as error:
        if condition(error) != "PATH_NOT_FOUND":
            raise
        raise Error(f"there is nothing at {', '.join(paths)}: give log files, or a directory that has some") from error
    frame = _table(files)
    frame = (_once(frame) if deduplicate else frame).drop("corrects", "file", "place")
    frame.createOrReplaceTempView("cloudtrail")
    register_views(spark)
    return frame


def _ddl(kind):
    """A type as from_json is told it: names in quotes, as some are words of SQL."""
    if isinstance(kind, StructType):
        return "struct<" + ", ".join(f"`{field.name}`: {_ddl(field.dataType)}" for field in kind) + ">"
    return "string"


def _text(name):
    # an empty one is none, as in the archive
    return f"nullif(r.{name}, '') AS {name}"


def _scalar(value):
    """A text that is not there where the record has an object or an array."""
    return f"CASE WHEN {value} NOT LIKE '{{%' AND {value} NOT LIKE '[%' THEN {value} END"


def _flag(name):
    return f"CASE r.{name} WHEN 'true' THEN true WHEN 'false' THEN false END AS {name}"


def _table(files):
    schema = StructType.fromJson(sql.schema())
    user = _ddl(schema["userIdentity"].dataType)
    members = ", ".join(
        [f"{name} string" for name in ("eventTime", "eventID", "eventName", "eventSource", "readOnly", "managementEvent")]
        + [f"{name} string" for name in _TEXTS]
        + ["resources string", "addendum string", f"userIdentity {user}"]
    )
    resource = "from_json(x, '`type` string, ARN string, ARNPrefix string')"
    resources = (
        f"transform(from_json(r.resources, 'array<string>'), x -> {resource})",
        f"x -> struct({_scalar('x.type')} AS type, coalesce({_scalar('x.ARN')}, {_scalar('x.ARNPrefix')}) AS name)",
    )
    told = (
        files.selectExpr(
            "posexplode(Records) AS (place, said)",
            "_metadata.file_path AS file",
            "_metadata.file_modification_time AS modified",
        )
        # whatever stands in a record's place is kept
        .selectExpr("place", "file", "modified", "coalesce(said, 'null') AS record")
        .selectExpr("*", f"from_json(record, '{members}') AS r")
        .selectExpr(
            "*",
            f"CASE WHEN r.eventTime RLIKE '^{_TIME}$' THEN try_to_timestamp(r.eventTime) END AS own_time",
            f"to_timestamp(nullif(replace(regexp_extract(file, '{_NAME_TIME}', 1), 'T', ''), '') || 'Z', 'yyyyMMddHHmmX') AS file_time",
            f"nullif(regexp_extract(file, '{_KEY}', 1), '') AS file_account",
            f"nullif(regexp_extract(file, '{_KEY}', 2), '') AS file_region",
            f"transform({resources[0]}, {resources[1]}) AS all_resources",
        )
        .selectExpr(
            "*",
            # whole seconds, and days of UTC whatever the session's zone is
            "unix_seconds(coalesce(own_time, file_time, modified)) AS second",
            "filter(all_resources, x -> x.type IS NOT NULL OR x.name IS NOT NULL) AS named_resources",
            f"coalesce(r.eventID RLIKE '^{_UUID}$', false) AS has_uuid",
        )
    )
    made = {
        "eventTime": "timestamp_seconds(second) AS eventTime",
        "userIdentity": "r.userIdentity AS userIdentity",
        "username": f"{_scalar('r.userIdentity.userName')} AS username",
        "accessKeyId": f"{_scalar('r.userIdentity.accessKeyId')} AS accessKeyId",
        "readOnly": _flag("readOnly"),
        "managementEvent": _flag("managementEvent"),
        "resources": "CASE WHEN size(named_resources) > 0 THEN named_resources END AS resources",
        "origin": "'LogFile' AS origin",
        "timeInferred": "own_time IS NULL AS timeInferred",
        "lossy": "false AS lossy",
        "identity": (
            "CASE WHEN has_uuid THEN concat(X'00', unhex(replace(r.eventID, '-', '')))"
            " ELSE concat(X'01', substring(unhex(sha2(record, 256)), 1, 16)) END AS identity"
        ),
        "record": "record",
        "account_id": (
            f"coalesce({_scalar('r.recipientAccountId')}, {_scalar('r.userIdentity.accountId')}, file_account) AS account_id"
        ),
        "region": f"coalesce({_scalar('r.awsRegion')}, file_region) AS region",
        "date": "date_from_unix_date(CAST(floor(second / 86400) AS INT)) AS date",
    }
    for name in ("eventID", "eventName", "eventSource"):
        made[name] = _text(name)
    for name in _TEXTS:
        made[name] = f"r.{name} AS {name}"
    columns = [made[field.name] for field in schema]
    return told.selectExpr(*columns, "coalesce(r.addendum LIKE '{%', false) AS corrects", "file", "place")


def _once(frame):
    """Of each event one record: a correction before what it corrects, then the first file's."""
    turn = (
        "row_number() OVER (PARTITION BY account_id, region, date, identity "
        "ORDER BY corrects DESC, file, place) AS turn"
    )
    return frame.selectExpr("*", turn).where("turn = 1").drop("turn")

