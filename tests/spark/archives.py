"""Archives as trailgate writes them, made by pyarrow and a few lines of JSON."""

import gzip
import json
import urllib.parse
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reading import SCHEMA

PARTITIONS = ["account_id", "region", "date"]

_PLAIN = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def _type(kind):
    if isinstance(kind, str):
        return _PLAIN[kind]
    if kind["type"] == "array":
        return pa.list_(_type(kind["elementType"]))
    return pa.struct([pa.field(f["name"], _type(f["type"]), f["nullable"]) for f in kind["fields"]])


ARROW = pa.schema([pa.field(f["name"], _type(f["type"]), f["nullable"]) for f in SCHEMA["fields"]])
DATA = pa.schema([field for field in ARROW if field.name not in PARTITIONS])

PROTOCOL = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}


def metadata():
    return {
        "metaData": {
            "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps(SCHEMA),
            "partitionColumns": PARTITIONS,
            "configuration": {},
            "createdTime": 0,
        }
    }


# what Hive and Spark leave as it is in a directory's name
_SAFE = "!$&()+,-.;<>@_`|}~ "


def escaped(value):
    return urllib.parse.quote(str(value), safe=_SAFE) if value is not None else "__HIVE_DEFAULT_PARTITION__"


def write_file(root, partition, rows):
    """Writes a data file of one partition, and says the action that adds it."""
    place = "/".join(f"{name}={escaped(value)}" for name, value in zip(PARTITIONS, partition))
    path = f"{place}/part-{uuid.uuid4()}.zstd.parquet"
    table = pa.Table.from_pylist(sorted(rows, key=lambda r: r["eventTime"]), DATA)
    (Path(root) / place).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, Path(root) / path, compression="zstd")
    return {
        "add": {
            # a path in the log is a URI: what is escaped on disk is escaped once more
            "path": urllib.parse.quote(path, safe="/="),
            "partitionValues": {
                name: None if value is None else str(value) for name, value in zip(PARTITIONS, partition)
            },
            "size": (Path(root) / path).stat().st_size,
            "modificationTime": 0,
            "dataChange": True,
            "stats": json.dumps({"numRecords": len(rows)}),
        }
    }


def write_files(root, rows):
    parts = defaultdict(list)
    for row in rows:
        parts[tuple(row[name] for name in PARTITIONS)].append(row)
    return [write_file(root, partition, rows) for partition, rows in parts.items()]


def remove(add):
    return {"remove": {"path": add["add"]["path"], "deletionTimestamp": 0, "dataChange": False}}


def commit(root, version, actions):
    log = Path(root) / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(action) + "\n" for action in actions)
    (log / f"{version:020}.json").write_text(lines)


def create(root, rows):
    """An archive of one commit."""
    commit(root, 0, [PROTOCOL, metadata(), *write_files(root, rows)])
    return Path(root)


@dataclass
class Archive:
    root: Path
    version: int
    # what counts: paths on disk below the root, and their partitions' values
    files: dict


def _counting(adds):
    return {urllib.parse.unquote(add["add"]["path"]): add["add"]["partitionValues"] for add in adds}


def with_a_past(root, rows, others):
    """The rows, committed in four parts, compacted in between, with a checkpoint after it; the others at once.

    Files that were compacted are still there, with their rows once more; so are rows that
    no commit ever counted.
    """
    quarters = [rows[start::4] for start in range(4)]
    parts = [write_files(root, quarter) for quarter in quarters]
    state = {"txn": {"appId": "trailgate", "version": 0}}
    commit(root, 0, [PROTOCOL, metadata(), state, *parts[0]])
    commit(root, 1, [state, *parts[1]])
    # the first two, in one file for each day
    whole = write_files(root, quarters[0] + quarters[1])
    commit(root, 2, [*whole, *(remove(add) for add in parts[0] + parts[1]), {"commitInfo": {"operation": "compact"}}])
    checkpoint(root, 2, [PROTOCOL, metadata(), *whole, *(remove(add) for add in parts[0])])
    commit(root, 3, parts[2])
    parts[3] += write_files(root, others)
    commit(root, 4, [*parts[3], {"somethingNew": {"of": "a later writer"}}])
    # written, and never committed
    write_files(root, quarters[3])
    return Archive(Path(root), 4, _counting(whole + parts[2] + parts[3]))


_MAP = pa.map_(pa.string(), pa.string())
_CHECKPOINT = pa.schema(
    [
        ("txn", pa.struct([("appId", pa.string()), ("version", pa.int64())])),
        (
            "add",
            pa.struct(
                [
                    ("path", pa.string()),
                    ("partitionValues", _MAP),
                    ("size", pa.int64()),
                    ("modificationTime", pa.int64()),
                    ("dataChange", pa.bool_()),
                    ("stats", pa.string()),
                ]
            ),
        ),
        ("remove", pa.struct([("path", pa.string()), ("deletionTimestamp", pa.int64()), ("dataChange", pa.bool_())])),
        (
            "metaData",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("format", pa.struct([("provider", pa.string()), ("options", _MAP)])),
                    ("schemaString", pa.string()),
                    ("partitionColumns", pa.list_(pa.string())),
                    ("configuration", _MAP),
                    ("createdTime", pa.int64()),
                ]
            ),
        ),
        ("protocol", pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())])),
    ]
)


def checkpoint(root, version, actions, parts=1):
    """A checkpoint, in one file or in several."""
    log = Path(root) / "_delta_log"
    for part in range(parts):
        rows = [{name: _pairs(value) for name, value in action.items()} for action in actions[part::parts]]
        name = f"{version:020}.checkpoint.parquet"
        if parts > 1:
            name = f"{version:020}.checkpoint.{part + 1:010}.{parts:010}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, _CHECKPOINT), log / name)
    last = {"version": version, "size": len(actions)} | ({"parts": parts} if parts > 1 else {})
    (log / "_last_checkpoint").write_text(json.dumps(last))


def _pairs(action):
    """An action with its maps as Arrow takes them."""
    told = dict(action)
    for name in ("partitionValues", "configuration"):
        if name in told:
            told[name] = list(told[name].items())
    if "format" in told:
        told["format"] = told["format"] | {"options": []}
    return told


def write_log_file(root, account, region, time, texts):
    """A log file as a trail writes it."""
    body = '{"Records":[' + ",".join(texts) + "]}"
    return _write_object(root, account, region, time, "CloudTrail", body.encode())


def write_digest(root, account, region, time):
    """A digest: it stands beside log files and has no records."""
    return _write_object(root, account, region, time, "CloudTrail-Digest", b'{"awsAccountId":"1","logFiles":[]}')


def _write_object(root, account, region, time, kind, body):
    day = f"{time[:4]}/{time[4:6]}/{time[6:8]}"
    directory = Path(root) / "AWSLogs" / account / kind / region / day
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{account}_{kind}_{region}_{time}_{uuid.uuid4().hex[:16]}.json.gz"
    path.write_bytes(gzip.compress(body))
    return path
