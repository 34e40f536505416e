"""Records as the archive has them: the columns of sql/schema.json, read by plain Python.

The oracle of what Spark reads out of log files, and the writer of the tests' own
archives. It shares no code with the program nor with the package.
"""

import datetime
import gzip
import hashlib
import json
import re
import uuid
from json.decoder import JSONDecodeError, scanstring
from pathlib import Path

UTC = datetime.timezone.utc
SCHEMA = json.loads((Path(__file__).parents[2] / "sql" / "schema.json").read_text())

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _skip(text, at):
    return _SPACE.match(text, at).end()


def _value(text, at):
    """Where the value that begins here ends."""
    _, end = _DECODER.raw_decode(text, at)
    return end


def members(text):
    """The members of an object as they are written, the last of each name."""
    found = {}
    at = _skip(text, 0)
    if not text.startswith("{", at):
        return None
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = scanstring(text, at + 1)
        at = _skip(text, _skip(text, at) + 1)
        end = _value(text, at)
        found[key] = text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def elements(text):
    """The elements of an array as they are written."""
    found = []
    if not text.startswith("["):
        return found
    at = _skip(text, 1)
    while text[at] != "]":
        end = _value(text, at)
        found.append(text[at:end])
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def said(raw):
    """A string column: a scalar as it reads, anything else as it is written."""
    if raw is None or raw == "null":
        return None
    return json.loads(raw) if raw.startswith('"') else raw


def written(raw):
    """A column of JSON text: as it is written."""
    return None if raw is None or raw == "null" else raw


def flag(raw):
    return {"true": True, "false": False}.get(said(raw) or "")


def _shape(kind, raw):
    """What a struct of the schema makes of a value."""
    fields = members(raw) if raw else None
    if fields is None:
        return None
    shaped = {}
    for field in kind["fields"]:
        value = fields.get(field["name"])
        inner = field["type"]
        shaped[field["name"]] = _shape(inner, value) if isinstance(inner, dict) else said(value)
    return shaped


_USER = next(f["type"] for f in SCHEMA["fields"] if f["name"] == "userIdentity")

# columns that are the record's member of that name
_SAID = (
    "eventName eventSource eventVersion eventType eventCategory awsRegion recipientAccountId "
    "sourceIPAddress userAgent errorCode errorMessage requestID sharedEventID vpcEndpointId apiVersion"
).split()
_WRITTEN = "requestParameters responseElements additionalEventData serviceEventDetails tlsDetails".split()


def _resource(raw):
    fields = members(raw) or {}
    kind = _scalar(fields.get("type"))
    name = _scalar(fields.get("ARN"))
    if name is None:
        name = _scalar(fields.get("ARNPrefix"))
    return None if kind is None and name is None else {"type": kind, "name": name}


def _scalar(raw):
    return None if raw is None or raw[0] in "{[" else said(raw)


def identity(event_id, record):
    if event_id and _UUID.fullmatch(event_id):
        return b"\0" + uuid.UUID(event_id).bytes
    return b"\1" + hashlib.sha256(record.encode()).digest()[:16]


def row(record, origin="LogFile", scope=("000000000000", "us-east-1"), api=None):
    """A record's row. `api` is what LookupEvents gave beside it."""
    fields = members(record)
    user = members(fields.get("userIdentity", "null")) or {}
    told = {field["name"]: None for field in SCHEMA["fields"]}
    for name in _SAID:
        told[name] = said(fields.get(name))
    for name in _WRITTEN:
        told[name] = written(fields.get(name))
    time = datetime.datetime.fromisoformat(_scalar(fields["eventTime"]))
    told["eventTime"] = time.astimezone(UTC).replace(microsecond=0)
    for name in ("eventID", "eventName", "eventSource"):
        told[name] = said(fields.get(name)) or None
    told["userIdentity"] = _shape(_USER, fields.get("userIdentity"))
    told["username"] = _scalar(user.get("userName"))
    told["accessKeyId"] = _scalar(user.get("accessKeyId"))
    told["readOnly"] = flag(fields.get("readOnly"))
    told["managementEvent"] = flag(fields.get("managementEvent"))
    resources = [_resource(raw) for raw in elements(fields.get("resources", ""))]
    told["resources"] = [resource for resource in resources if resource] or None
    told["origin"] = origin
    told["timeInferred"] = told["lossy"] = False
    told["record"] = record
    told["account_id"] = _scalar(fields.get("recipientAccountId")) or _scalar(user.get("accountId")) or scope[0]
    told["region"] = _scalar(fields.get("awsRegion")) or scope[1]
    told.update(api or {})
    told["identity"] = identity(_scalar(fields.get("eventID")), record)
    told["date"] = told["eventTime"].date()
    return told


def records(path):
    """The records of a log file, as they are written."""
    text = gzip.decompress(Path(path).read_bytes()).decode()
    return elements(members(text).get("Records", ""))


def log_files(root):
    # in the order of their whole names: a directory's files before those of one that its name begins
    return sorted(Path(root).rglob("*.json.gz"), key=str)


def rows(paths):
    """The rows of log files: each event of a partition once, the first one met."""
    seen = {}
    for path in paths:
        # account, "CloudTrail", region, year, month, day, name
        scope = (path.parts[-7], path.parts[-5])
        for record in records(path):
            try:
                read = row(record, scope=scope)
            except (JSONDecodeError, KeyError, ValueError):
                continue
            seen.setdefault((read["account_id"], read["region"], read["date"], read["identity"]), read)
    return list(seen.values())
